// The server's JSON API. Paths are relative, so that the page also works below a proxy's path.

import { queryOf } from "./terms.js";

/** An answer; the server's sentence as the error's message. */
export async function send(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it still running?");
  }
  if (response.status === 401 && (await logIn())) return send(path, options);
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Error(answer.message || `The server answered ${response.status}.`);
}

/** An answer as JSON. */
export async function ask(path, parameters = {}, options = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const here = options.method ? null : cameAlong(path, given);
  if (here) return here;
  const query = new URLSearchParams(given).toString();
  const response = await send(query ? `${path}?${query}` : path, options);
  return response.json().catch(() => ({}));
}

/** The answer that came with the page (web/ahead.py), if it is the one to this question. Back leads to what is true now. */
function cameAlong(path, given) {
  const element = document.getElementById("ahead");
  if (!element || path === "indices") return null;
  element.remove(); // it is true once
  const [visit] = performance.getEntriesByType("navigation");
  if (/** @type {any} */ (visit)?.type === "back_forward") return null;
  const asked = JSON.parse(element.textContent), wanted = given.map(([name, value]) => [name, String(value)]);
  const same = path === asked.path && wanted.length === Object.keys(asked.given).length && wanted.every(([name, value]) => asked.given[name] === value);
  return same ? asked.answer : null;
}

/** Ask the person for the server's token; a cookie carries it from then on. False if none was given. */
async function logIn() {
  const token = window.prompt("This server asks for its token:");
  if (!token) return false;
  await fetch("token", { method: "POST", body: token });
  return true; // a wrong one leads to the same question
}

export const PAGE = 40;
export const MOST_AT_ONCE = 400; // hits that Back asks for in one request
export const IN_SIGHT = 12; // their pictures come with the answer, not each in a request of its own
export const listIndices = () => ask("indices");
export const cardOf = (index) => ask("card", { index });
export const sample = (index, signal) => ask("sample", { index, k: 24, thumbnails: IN_SIGHT }, { signal });

/** Parameters of a view (see state.js); `pair` is the index of the other side, whose records come along. */
const wanted = ({ index, unique, both, where }, pair) => ({ index, unique, where, pair, both_weight: pair ? both : null });

/** Where the API answers a view that has words or a record with its first k hits. */
export function address(view, pair, k) {
  const { q, like, of } = view;
  return `search?${new URLSearchParams(Object.entries({ q, like, of, ...wanted(view, pair), k }).filter(([, value]) => value))}`;
}

/** The first k hits of any view, without small pictures. */
export const all = (view, pair, k) => page(view, pair, { k });

/** One page of hits for a view. */
export function search(view, pair, offset, signal, k = PAGE) {
  return page(view, pair, { k, offset, thumbnails: offset ? null : IN_SIGHT }, signal);
}

/** The values of a column among the best hits of a view: {column: {values: [{value, count}], others}}. */
export const facetsOf = async (view, pair, column) => (await page(view, pair, { k: 1, facets: column })).facets;

function page(view, pair, wants, signal) {
  const given = { ...wanted(view, pair), ...wants };
  if (view.also) return pageOfTerms(view, given, signal);
  if (view.file) return ask("search", given, { method: "POST", body: view.file, headers: { "Content-Type": "application/octet-stream" }, signal });
  return ask("search", { q: view.q, like: view.like, of: view.of, ...given }, { signal });
}

async function pageOfTerms(view, { index, k, offset, facets, unique, where, both_weight: weight, pair }, signal) {
  const body = { queries: [{ terms: await queryOf(view) }], indices: index ? [index] : [], k, offset: offset || 0, unique: Number(unique || 0),
    where: where || "", facets: facets ? [facets] : [], pair: pair || "", both_weight: Number(weight || 0) };
  const { answers, seconds } = await ask("query", {}, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal });
  return { ...answers[0], seconds };
}
