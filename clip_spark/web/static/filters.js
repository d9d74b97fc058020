// Filters made from the columns of the hits: values with their counts, ranges of numbers, and a condition in words of its own.

import { facetsOf } from "./api.js";
import { $, el, number } from "./dom.js";
import { href } from "./state.js";

const TECHNICAL = new Set(["record_id", "kind", "text", "caption", "uri", "offset", "size", "parent_id", "metadata", "sha256", "key"]);
const MOST_COLUMNS = 6;
const LONGEST = 60;

/** Columns that some hits have plain values in: {name, numbers, few}. */
export function filterable(hits) {
  const names = [...new Set(hits.flatMap((hit) => Object.keys(hit.record)))].filter((name) => !TECHNICAL.has(name) && !name.includes(","));
  const found = names.map((name) => ({ name, values: hits.map((hit) => hit.record[name]).filter((value) => value !== null && value !== undefined) }));
  const plain = found.filter(({ values }) => values.length && values.every((value) => typeof value !== "object" && String(value).length <= LONGEST));
  return plain.map(({ name, values }) => {
    const different = new Set(values).size;
    return { name, different, numbers: values.every((value) => typeof value === "number"), few: different <= Math.max(12, values.length / 2) };
  }).filter((column) => column.different > 1 && (column.few || column.numbers)).slice(0, MOST_COLUMNS);
}

const quoted = (name) => (/^[a-z_][a-z0-9_]*$/i.test(name) ? name : `"${name.replaceAll('"', '""')}"`);
const literal = (value) => (typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : String(value));
const both = (where, more) => (where ? `${where} and ${more}` : more);

/** Show what the hits can be filtered by; `show` opens a view. The counts come when somebody looks at them. */
export function showFilters(view, pair, hits, show) {
  const columns = filterable(hits);
  const box = $("filters");
  box.hidden = !columns.length && !view.where;
  const clear = view.where ? el("a", { href: href({ ...view, where: null }), "data-view": "", "data-keep": "" }, "Clear the filter") : null;
  box.replaceChildren(...columns.map((column) => (column.few ? values(view, pair, column) : range(view, column, show))),
    condition(view, show), ...(clear ? [clear] : []));
}

function values(view, pair, { name }) {
  const list = el("ul", {}, el("li", {}, "…"));
  const details = el("details", { class: "facet", name: "facet" }, el("summary", {}, name), list);
  details.addEventListener("toggle", async () => {
    if (!details.open || details.dataset.asked) return;
    details.dataset.asked = "yes";
    try {
      const { values: found, others } = (await facetsOf(view, pair, name))[name];
      list.replaceChildren(...found.map(({ value, count }) => el("li", {}, link(view, name, value, count))),
        ...(others ? [el("li", {}, `${number(others)} with other values`)] : []));
    } catch (error) {
      list.replaceChildren(el("li", {}, error.message));
    }
  });
  return details;
}

function link(view, name, value, count) {
  const meant = value === null ? `${quoted(name)} is null` : `${quoted(name)} = ${literal(value)}`;
  return el("a", { href: href({ ...view, where: both(view.where, meant) }), "data-view": "", "data-keep": "" },
    value === null ? "(none)" : String(value), el("small", {}, number(count)));
}

function range(view, { name }, show) {
  const bound = (what) => el("input", { type: "number", step: "any", "aria-label": `${what} ${name}`, placeholder: what });
  const [least, most] = [bound("least"), bound("most")];
  const submit = (event) => {
    event.preventDefault();
    const parts = [[">=", least.value], ["<=", most.value]].filter(([, value]) => value !== "").map(([sign, value]) => `${quoted(name)} ${sign} ${value}`);
    if (parts.length) show({ ...view, where: both(view.where, parts.join(" and ")) });
  };
  return el("details", { class: "facet", name: "facet" }, el("summary", {}, name),
    el("form", { onsubmit: submit }, least, most, el("button", { type: "submit" }, "Filter")));
}

function condition(view, show) {
  const field = el("input", { type: "text", size: "24", value: view.where || "", placeholder: "column = 'value'", "aria-label": "Condition on the columns", autocomplete: "off", spellcheck: "false" });
  return el("form", { class: "condition", onsubmit: (event) => { event.preventDefault(); show({ ...view, where: field.value.trim() || null }); } }, field);
}
