// One hit: a card with a picture, or a row of text. Each is a link to "more like this", so that the keyboard, a middle
// click and a copied address work by themselves.

import { choice } from "./chosen.js";
import { INFO, el, icon, number, plural } from "./dom.js";
import { edgeColour } from "./edges.js";
import { href } from "./state.js";
import { sureness } from "./sure.js";

const SMALL_PIXELS = 200;

/** The list item of a hit; `show` opens its details, `more` searches for more or less of it. Hits of the start page have no score. */
export function hitItem(hit, index, best, show, more) {
  const item = index.kind === "image" ? pictureCard(hit, index) : textRow(hit, index, best);
  const info = el("button", { type: "button", class: "info", "aria-label": `Details of ${nameOf(hit, index)}`, title: "Details", onclick: () => show(hit, item) }, icon(...INFO));
  const name = nameOf(hit, index);
  const sign = (words, weight, title) => el("button", { type: "button", title, "aria-label": `${title}: ${name}`, onclick: () => more(hit, weight) }, words);
  Object.assign(item.dataset, { record: hit.record.record_id, index: index.name });
  item.append(info, choice(hit, name, index));
  if (more) item.append(el("span", { class: "signs" }, sign("+", 1, "More of this"), sign("−", -1, "Less of this")));
  return item;
}

/** What a hit is called: a picture by the text that belongs to it, where that is known. */
export const nameOf = (hit, index) => (index.kind === "image" && hit.pair ? hit.pair.title : hit.title);

const likeThis = (hit, index) => href({ like: hit.record.record_id, index: index.name });

function pictureCard(hit, index) {
  const score = hit.score === undefined ? null : sureness(hit) ?? el("b", { title: "cosine similarity" }, hit.score.toFixed(3));
  const name = nameOf(hit, index);
  return el("li", { class: "card" },
    el("a", { href: likeThis(hit, index), "data-view": "", title: `More like “${name}”` },
      el("span", { class: "frame" }, picture(hit, 256)),
      el("span", { class: "caption" }, el("span", {}, name), score),
      el("span", { class: "like" }, "More like this")));
}

/** The picture of a hit, or a note in its place. Small ones keep their size: enlarged they look broken. */
export function picture(hit, size) {
  const note = (text) => el("span", { class: "gone" }, text);
  if (!hit.picture) return note(hit.link ? hostOf(hit.link) : "No picture");
  const here = size === 256 ? hit.thumbnail : null;
  const lazy = here ? {} : { loading: "lazy", decoding: "async" };
  const image = el("img", { src: here || `${hit.picture}&size=${size}`, alt: hit.title, ...lazy });
  image.addEventListener("load", () => {
    image.classList.toggle("small", image.naturalWidth < SMALL_PIXELS);
    const colour = edgeColour(image);
    if (colour) image.parentElement?.style.setProperty("background", colour);
  });
  image.addEventListener("error", () => image.replaceWith(note("The picture cannot be shown")));
  return image;
}

/** Where a picture is that this server does not open. */
function hostOf(link) {
  try {
    return `On ${new URL(link).hostname.replace(/^www\./, "")}`;
  } catch {
    return "On the web";
  }
}

function textRow(hit, index, best) {
  const { n, count } = hit.record;
  const facts = [n ? plural(n, "word") : null, count ? `${number(count)}×` : null].filter(Boolean).join(" · ");
  const score = el("span");
  const sure = sureness(hit);
  if (sure) score.append(sure);
  else if (hit.score !== undefined) {
    const meter = el("span", { class: "meter", "aria-hidden": "true" });
    meter.style.setProperty("--part", `${Math.max(2, Math.min(100, (100 * hit.score) / Math.max(best, 1e-6)))}%`);
    score.append(meter, el("b", { title: "cosine similarity" }, hit.score.toFixed(3)));
  }
  return el("li", { class: "row" },
    el("a", { href: likeThis(hit, index), "data-view": "", title: `More like “${hit.title}”` },
      el("i", {}, hit.rank ?? ""), hit.pair ? el("span", { class: "beside" }, picture(hit.pair, 256)) : null,
      el("span", { class: "text" }, hit.title), el("span", { class: "facts" }, facts), score));
}

/** Grey shapes while an answer is on its way. */
export function ghosts(kind, count) {
  const shape = () => kind === "image"
    ? el("li", { class: "card ghost" }, el("span", { class: "frame" }), el("span", { class: "caption" }))
    : el("li", { class: "row ghost" });
  return Array.from({ length: count }, shape);
}
