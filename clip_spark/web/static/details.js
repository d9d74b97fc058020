// The dialog with everything about one hit, and the ways on from it.

import { $, el, icon } from "./dom.js";
import { nameOf, picture } from "./cards.js";
import { href, inIndex } from "./state.js";

const CROSS = ["M6 6l12 12", "M18 6L6 18"];

/** Open the dialog. Links that lead to another view close it (main.js follows them). */
export function showDetails(hit, index, indices) {
  const view = { like: hit.record.record_id, index: index.name };
  const links = el("p", { class: "links" },
    el("a", { href: href(view), "data-view": "" }, "More like this"),
    ...indices.filter((other) => other.name !== index.name && other.model === index.model).map((other) =>
      el("a", { href: href(inIndex(view, other.name)), "data-view": "" }, across(index, other))),
    caption(hit, index), index.kind === "text" ? null : original(hit));
  const side = el("div", { class: "side" },
    el("h2", { id: "details-title" }, nameOf(hit, index)), links, columns(hit));
  const shown = index.kind === "image" ? hit : hit.pair;
  const figure = shown ? el("figure", {}, picture(shown, 1024)) : null;
  const close = el("button", { type: "button", class: "plain close", "aria-label": "Close", onclick: () => $("details").close() }, icon(...CROSS));
  $("details").replaceChildren(el("article", { class: figure ? "" : "flat" }, figure, side), close);
  $("details").showModal();
}

function across(index, other) {
  const what = other.kind === "text" ? "Texts" : "Pictures";
  return `${what} for this ${index.kind === "text" ? "text" : "picture"} (${other.name})`;
}

/** The caption of a picture, and the text of any record, as words to search for. */
function caption(hit, index) {
  const words = hit.record.caption || hit.record.text;
  if (!words) return null;
  const what = index.kind === "image" ? "Search with this caption" : "Search with these words";
  return el("a", { href: href({ q: words, index: index.name }), "data-view": "" }, what);
}

function original(hit) {
  const address = hit.link || hit.picture;
  return address ? el("a", { href: address, target: "_blank", rel: "noreferrer" }, "Original") : null;
}

const TECHNICAL = ["record_id", "kind", "uri", "offset", "size", "width", "height", "parent_id"];

/** What people wrote first, what the machine needs behind a fold. */
function columns(hit) {
  const known = Object.entries(unpacked(hit.record)).filter(([, value]) => value !== null && value !== "");
  const similarity = hit.score === undefined ? [] : [["similarity", hit.score.toFixed(4)]];
  const technical = known.filter(([name]) => TECHNICAL.includes(name));
  return el("div", {}, list([...similarity, ...known.filter(([name]) => !TECHNICAL.includes(name))]),
    el("details", { class: "technical" }, el("summary", {}, "Where it is from"), list(technical)));
}

const list = (pairs) => el("dl", {}, ...pairs.flatMap(([name, value]) => [
  el("dt", {}, name), el("dd", {}, typeof value === "object" ? JSON.stringify(value) : String(value))]));

/** The JSON that lay beside a picture is one column of text; its keys are shown as columns. */
function unpacked(record) {
  const { metadata, ...rest } = record;
  try {
    const inner = JSON.parse(metadata);
    if (inner && typeof inner === "object" && !Array.isArray(inner)) return { ...rest, ...inner, ...present(rest) };
  } catch {
    // not JSON: shown as it is
  }
  return record;
}

const present = (record) => Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null));

document.addEventListener("click", (event) => {
  if (event.target === $("details")) $("details").close(); // a click beside it, on the backdrop
});
