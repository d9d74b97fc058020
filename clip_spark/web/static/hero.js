// What is shown before a search: what can be searched, examples from the index itself, and the query that led here.

import { address, all } from "./api.js";
import { cardButton } from "./card.js";
import { compareHref, comparedTo } from "./compare.js";
import { $, el, number, save } from "./dom.js";
import { href } from "./state.js";

const EXAMPLES = 6;
const LONGEST_EXAMPLE = 32;

/** The start page's text and examples; without records only the text. */
export function showHero(index, records) {
  const what = index.kind === "image" ? "pictures" : "texts";
  const titles = [...new Set(records.map((hit) => hit.title))].filter(isExample);
  const step = Math.max(1, Math.floor(titles.length / EXAMPLES));
  const examples = titles.filter((_, place) => place % step === 0).slice(0, EXAMPLES);
  const links = examples.map((words) => el("li", {}, el("a", { href: href({ q: words, index: index.name }), "data-view": "" }, words)));
  $("hero").replaceChildren(
    el("h1", {}, `Search ${number(index.rows)} ${what} by meaning`),
    el("p", {}, "Describe what you are looking for, or drop a picture anywhere on this page."),
    el("ul", { class: "examples", "aria-label": "Examples" }, ...links));
  $("hero").hidden = false;
}

const isExample = (title) => title.length <= LONGEST_EXAMPLE && !/\.(jpe?g|png|webp|gif|bmp|tiff?)$/i.test(title);

/** The picture or record that is the query; words stand in the search field already. */
export function showQuery(view, answer) {
  const box = $("query");
  box.hidden = !view.file && !answer.query;
  if (box.hidden) return;
  const [title, source] = view.file ? [view.file.name || "Your picture", URL.createObjectURL(view.file)] : ofRecord(answer.query);
  const image = source ? el("img", { src: source, alt: "" }) : null;
  if (image && view.file) image.addEventListener("load", () => URL.revokeObjectURL(source));
  const clear = el("a", { href: href({ index: view.index }), "data-view": "" }, "Clear");
  box.replaceChildren(...[image, el("div", {}, el("small", {}, view.file ? "Similar to your picture" : "More like"), title),
    el("p", { class: "links" }, clear)].filter(Boolean));
}

function ofRecord(hit) {
  return [hit.title, hit.picture ? `${hit.picture}&size=256` : null];
}

const MOST_HITS = 10_000;
const SAME = "0.95";
const HALF = "0.5";

/** What can be done with the hits: without near-duplicates, ranked by picture and text together, beside those of others, or as JSON. */
export function showOptions(view, index, indices) {
  const { file, ...rest } = view;
  const [pair] = index.pairs;
  const toggle = (words, on, next) => el("a", { href: href({ ...rest, ...next }), "data-view": "", "data-keep": "", role: "button", "aria-pressed": String(Boolean(on)) }, words);
  const alike = toggle("Hide near-duplicates", view.unique, { unique: view.unique ? null : SAME, both: null });
  const both = pair ? toggle("Rank by picture and text", view.both, { both: view.both ? null : HALF, unique: null }) : null;
  const beside = indices.filter((other) => other !== index).map((other) => {
    const on = comparedTo(view, index, [other]).length > 0;
    return el("a", { href: compareHref(view, other.name), "data-view": "", "data-keep": "", role: "button", "aria-pressed": String(on), title: "The same question to both indices" }, `Side by side with ${other.name}`);
  });
  $("options").replaceChildren(...[alike, both, ...beside, json(view, pair, Math.min(index.most_hits, MOST_HITS))].filter(Boolean));
  $("options").hidden = false;
}

/** The hits as JSON, up to so many: an address where one can say what is seen, else a file. */
function json(view, pair, most) {
  const title = `Up to ${number(most)} hits as JSON`;
  if (!view.file && !view.also) return el("a", { href: address(view, pair, most), target: "_blank", title }, "JSON");
  const button = el("button", { type: "button", title, onclick: async () => {
    try {
      save("hits.json", new Blob([JSON.stringify(await all(view, pair, most))], { type: "application/json" }));
    } catch (error) {
      button.textContent = error.message;
    }
  } }, "JSON");
  return button;
}

/** The choice of index, with the way to its card, and the maps. `chosen` is the name of an index, `map` that of a map. */
export function showIndices(indices, chosen, map, linkTo) {
  const maps = [...new Set(indices.flatMap((index) => index.maps))];
  const way = (link, here, ...words) => el("a", { href: link, "data-view": "", "data-keep": "", "aria-current": here ? "page" : null }, ...words);
  $("indices").hidden = false;
  $("indices").replaceChildren(
    ...indices.flatMap((index) => {
      const here = !map && index.name === chosen;
      return [way(linkTo({ index: index.name }), here, index.name, el("small", {}, number(index.rows))), ...(here ? [cardButton(index.name)] : [])];
    }),
    ...maps.map((name) => way(linkTo({ map: name }), name === map, maps.length > 1 ? `Map ${name}` : "Map")));
}
