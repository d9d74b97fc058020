// Other indices asked the same, side by side with the hits: two models, or the prompts and the pictures for one question. The
// address has their names in &compare=.

import { PAGE, search } from "./api.js";
import { ghosts, hitItem } from "./cards.js";
import { $, el, number, plural } from "./dom.js";
import { href, inIndex } from "./state.js";

let columns = []; // of the others: {index, view, ways, list, note, shown, best, more}

const namesIn = (view) => (view.compare || "").split(",").filter(Boolean);

/** The indices that a view asks beside its own. */
export const comparedTo = (view, own, indices) => indices.filter((index) => index !== own && namesIn(view).includes(index.name));

/** The same view with one more index beside its own, or with one less. */
export function compareHref(view, name) {
  const { file, ...rest } = view, names = namesIn(view);
  const next = names.includes(name) ? names.filter((one) => one !== name) : [...names, name];
  return href({ ...rest, compare: next.join(",") });
}

/** No columns but the page's own. */
export function clearCompared() {
  for (const { box } of columns) box.remove();
  columns = [];
  document.body.classList.remove("compared");
  $("own").hidden = true;
}

/**
 * Ask the others what the view asks its own index, and show each answer in a column; what one cannot answer is said there.
 * @param {object} view of state.js
 * @param {object} own the view's own index
 * @param {object[]} indices all of them
 * @param {(index: object) => {details: Function, more: Function}} ways from a hit of an index
 */
export async function showCompared(view, own, indices, ways, signal) {
  const others = comparedTo(view, own, indices);
  if (!others.length) return;
  document.body.classList.add("compared");
  $("own").hidden = false;
  $("own").replaceChildren(own.name, el("small", {}, own.model));
  columns = others.map((index) => column(view, own, indices, index, ways(index)));
  $("columns").append(...columns.map(({ box }) => box));
  await Promise.all(columns.map((one) => next(one, signal)));
}

function column(view, own, indices, index, ways) {
  const list = el("ol", { class: index.kind === "image" ? "pictures" : "texts", "aria-label": `Hits in ${index.name}`, "aria-busy": "true" }, ...ghosts(index.kind, 6));
  const away = el("a", { href: compareHref(view, index.name), class: "away", "data-view": "", "data-keep": "", role: "button", "aria-label": `Without ${index.name}`, title: "Take this column away" }, "×");
  const alone = el("a", { href: href(inIndex(view, index.name, own.name)), "data-view": "", "data-keep": "", title: "This index alone" }, index.name);
  const note = el("p", { class: "note", role: "status" });
  const box = el("section", { class: "column", "aria-label": index.name }, el("h2", {}, alone, el("small", {}, index.model), away), note, list);
  return { index, view: asked(view, own, indices, index), ways, list, note, box, shown: 0, best: 0, more: true };
}

/** The view as another index understands it: a record of another model's index cannot be asked for, but perhaps has its like there. */
function asked(view, own, indices, index) {
  const moved = { ...inIndex(view, index.name, own.name), both: null, file: view.file };
  const home = indices.find(({ name }) => name === moved.of);
  return home && home.model !== index.model ? { ...moved, of: null } : moved;
}

/** The next hits of a column. */
async function next(one, signal) {
  if (!one.more) return;
  one.more = false; // until the answer is here
  try {
    const answer = await search(one.view, one.index.pairs[0], one.shown, signal, PAGE);
    one.best ||= answer.hits[0]?.score ?? 0;
    const items = answer.hits.map((hit) => hitItem(hit, one.index, one.best, one.ways.details, one.ways.more));
    if (one.shown) one.list.append(...items);
    else one.list.replaceChildren(...items);
    one.shown += items.length;
    one.more = answer.more;
    if (!one.shown) one.note.textContent = "Nothing found.";
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!one.shown) one.list.replaceChildren();
    one.note.textContent = error.message;
  } finally {
    one.list.removeAttribute("aria-busy");
  }
}

/** Whether any column has more. */
export const othersHaveMore = () => columns.some(({ more }) => more);

export const moreOfOthers = (signal) => Promise.all(columns.map((one) => next(one, signal)));

const recordsOf = (list) => [...list.querySelectorAll("li[data-record]")].map((item) => item.dataset.record);

/** Say how many hits of each column the page's own has too: two models agree, or a prompt and its picture are both found. */
export function tellShared(own) {
  const mine = new Set(recordsOf($("results")));
  for (const { index, list, note, shown } of columns) {
    if (index.kind !== own.kind && !own.pairs.includes(index.name)) continue; // texts are no pictures
    const both = recordsOf(list).filter((id) => mine.has(id)).length;
    if (shown && mine.size) note.textContent = both ? `${number(both)} of ${plural(shown, "hit")} are found in ${own.name} too` : `None of ${plural(shown, "hit")} is found in ${own.name}`;
  }
}

/** The same record is marked in all columns while one points at it. */
function mark(event) {
  const id = event.target.closest?.("li[data-record]")?.dataset.record;
  for (const item of document.querySelectorAll("#columns .same")) item.classList.remove("same");
  if (!columns.length || !id) return;
  const found = [.../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#columns li[data-record]"))].filter((item) => item.dataset.record === id);
  if (found.length > 1) for (const item of found) item.classList.add("same");
}

for (const name of ["pointerover", "focusin"]) $("columns").addEventListener(name, mark);
