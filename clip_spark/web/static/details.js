// Everything about one hit, and the ways on from it: beside the hits where there is room, else in a dialog above them.

import { nameOf, picture } from "./cards.js";
import { $, CROSS, el, icon } from "./dom.js";
import { linesOf } from "./lines.js";
import { href, inIndex } from "./state.js";
import { told } from "./sure.js";

const WIDE = window.matchMedia("(min-width: 1200px)"); // as in results.css
let shown = null; // the item in the list whose details are open

/** Open the details, or show another hit in them; `item` is the hit's in the list. Links to another view close them (main.js). */
export function showDetails(hit, index, indices, item = null) {
  const view = { like: hit.record.record_id, index: index.name };
  const links = el("p", { class: "links" },
    el("a", { href: href(view), "data-view": "" }, "More like this"),
    ...indices.filter((other) => other.name !== index.name && other.model === index.model).map((other) =>
      el("a", { href: href(inIndex(view, other.name)), "data-view": "" }, across(index, other))),
    caption(hit, index), index.kind === "text" ? null : original(hit));
  const side = el("div", { class: "side" },
    el("h2", { id: "details-title" }, nameOf(hit, index)), links, linesOf(hit, index, indices), columns(hit));
  const shown = index.kind === "image" ? hit : hit.pair;
  const figure = shown ? el("figure", {}, picture(shown, 1024)) : null;
  const close = el("button", { type: "button", class: "plain close", "aria-label": "Close", onclick: () => $("details").close() }, icon(...CROSS));
  $("details").replaceChildren(el("article", { class: figure ? "" : "flat" }, figure, side), close);
  open(item);
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
  const sure = hit.chance === undefined || hit.chance === null ? [] : [["how sure", told(hit.chance)]];
  const similarity = hit.score === undefined ? [] : [...sure, ["similarity", hit.score.toFixed(4)]];
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

const isBeside = () => $("details").open && !$("details").matches(":modal");

function open(item) {
  const box = $("details");
  const had = !box.open || box.contains(document.activeElement) || document.activeElement === document.body;
  shown?.classList.remove("shown");
  shown = item;
  shown?.classList.add("shown");
  if (!box.open && item && WIDE.matches) box.show();
  else if (!box.open) box.showModal();
  document.body.classList.toggle("beside", isBeside());
  if (had) box.querySelector(".close").focus({ preventScroll: true }); // what had the focus has been replaced
  box.scrollTop = 0;
  item?.scrollIntoView({ block: "nearest" });
}

/** Show the next hit, or the one before. */
function step(event) {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!by || !shown || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const next = by > 0 ? shown.nextElementSibling : shown.previousElementSibling;
  event.preventDefault();
  next?.querySelector(".info")?.click();
}

$("details").addEventListener("keydown", step);
$("details").addEventListener("close", () => {
  document.body.classList.remove("beside");
  shown?.classList.remove("shown");
  if (shown?.isConnected) shown.querySelector(".info").focus();
  shown = null;
});
$("columns").addEventListener("focusin", (event) => { // the arrows of the grid lead the details along
  const item = /** @type {any} */ (event.target).closest("li");
  if (isBeside() && item && item !== shown && /** @type {any} */ (event.target).matches("a")) item.querySelector(".info").click();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && isBeside()) $("details").close(); // a browser does so for modal ones alone
});
document.addEventListener("click", (event) => {
  if (/** @type {any} */ (event.target).matches("dialog:modal")) /** @type {any} */ (event.target).close(); // a click beside it, on the backdrop
});
WIDE.addEventListener("change", () => isBeside() && $("details").close());
