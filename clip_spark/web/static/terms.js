// What a search adds to its words or record, or takes away: chips with weights. In the address it is one JSON list, `also`, of
// [weight, kind, value, index, label]; kind is "text" or "like".

import { $, el } from "./dom.js";
import { href } from "./state.js";

const STEP = 0.5;

export function termsOf(view) {
  try {
    const found = JSON.parse(view.also || "[]");
    return Array.isArray(found) ? found.filter((term) => Array.isArray(term) && term.length >= 3) : [];
  } catch {
    return []; // an address that somebody has cut
  }
}

const withTerms = (view, terms) => ({ ...view, also: terms.length ? JSON.stringify(terms) : null });

/** A view that has one more term. A record that was searched for alone becomes a chip too; `title` is what it is called. */
export function withTerm(view, term, title) {
  const { like, of, ...rest } = view;
  const own = like ? [[1, "like", like, of || view.index, title]] : [];
  return withTerms(rest, [...own, ...termsOf(view).filter((one) => one[2] !== term[2]), term]);
}

/** The terms of a view as the API takes them (POST /query). */
export async function queryOf(view) {
  const { q, like, of, file } = view;
  const words = q ? [{ text: q }] : like ? [{ like, ...(of ? { of } : {}) }] : [];
  const own = file ? [{ image: await base64(file) }] : words;
  return [...own, ...termsOf(view).map(([weight, kind, value, index]) => ({ [kind]: value, weight, ...(index ? { of: index } : {}) }))];
}

function base64(file) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(String(reader.result).split(",", 2)[1] || "");
    reader.onerror = () => failed(new Error("The picture cannot be read any more; choose it again."));
    reader.readAsDataURL(file);
  });
}

/** The chips, and the field for one more; `show` opens a view. */
export function showTerms(view, title, show) {
  const terms = termsOf(view);
  const box = $("terms");
  box.hidden = false;
  box.replaceChildren(...terms.map((term, place) => chip(view, terms, place)), field(view, title, show));
}

function chip(view, terms, place) {
  const [weight, kind, value, , label] = terms[place];
  const changed = (next) => href(withTerms(view, terms.map((term, at) => (at === place ? [next, ...term.slice(1)] : term))));
  const name = label || value;
  const way = (words, to, title) => el("a", { href: to, "data-view": "", "data-keep": "", role: "button", title, "aria-label": `${title}: ${name}` }, words);
  const step = (by) => (weight + by === 0 ? weight + 2 * by : weight + by);
  return el("span", { class: weight < 0 ? "chip minus" : "chip" },
    way("−", changed(step(-STEP)), "Less of it"), el("b", {}, weight > 0 ? `+${weight}` : String(weight).replace("-", "−")),
    way("+", changed(step(STEP)), "More of it"), el("span", {}, kind === "like" ? `like “${name}”` : name),
    way("×", href(withTerms(view, terms.filter((_, at) => at !== place))), "Take away"));
}

function field(view, title, show) {
  const words = el("input", { type: "text", size: "16", placeholder: "and, or but not", "aria-label": "More words for this search", autocomplete: "off" });
  const add = (sign) => words.value.trim() && show(withTerm(view, [sign, "text", words.value.trim()], title));
  const form = el("form", { class: "more-words", onsubmit: (event) => { event.preventDefault(); add(1); } }, words,
    el("button", { type: "submit", title: "More of this", "aria-label": "Add these words" }, "+"),
    el("button", { type: "button", title: "Less of this", "aria-label": "Take these words away", onclick: () => add(-1) }, "−"));
  return form;
}
