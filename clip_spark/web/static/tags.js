// Tags of pictures that a person has chosen: the nearest texts of an index of texts, shown and exported.

import { ask } from "./api.js";
import { $, CROSS, el, icon, plural, save } from "./dom.js";
import { href } from "./state.js";
import { csvOf } from "./table.js";

const TAGS = 5, AT_ONCE = 32, MOST = 320; // of each picture, in one request, in all

/** The indices of texts that can say what pictures of an index show. */
export const taggers = (index, indices) => indices.filter((other) => other.kind === "text" && index.kind === "image" && other.model === index.model);

/**
 * Show the tags of pictures.
 * @param {{id: string, title: string, picture: string | null}[]} pictures of one index
 * @param {string} home the name of their index
 * @param {string} texts the name of the index of texts
 */
export async function showTags(pictures, home, texts) {
  const box = $("tags"), some = pictures.slice(0, MOST);
  const close = el("button", { type: "button", class: "plain close", "aria-label": "Close", onclick: () => box.close() }, icon(...CROSS));
  const told = el("p", { role: "status" }, "Looking …");
  const side = el("div", { class: "side" }, el("h2", { id: "tags-title" }, `Tags of ${plural(some.length, "picture")} from ${texts}`), told);
  box.replaceChildren(side, close);
  box.showModal();
  try {
    const rows = await tagsOf(some, home, texts);
    told.textContent = some.length < pictures.length ? `The first ${some.length} of ${pictures.length}.` : "";
    side.append(exports(rows), el("ul", { class: "tagged" }, ...some.map((one) => tagged(one, rows.filter((row) => row.record_id === one.id), texts))));
  } catch (error) {
    told.textContent = error.message;
  }
}

/** {record_id, picture, rank, similarity, tag, tag_id} for each tag of each picture. */
async function tagsOf(pictures, home, texts) {
  const rows = [];
  for (let first = 0; first < pictures.length; first += AT_ONCE) {
    const part = pictures.slice(first, first + AT_ONCE);
    const body = { queries: part.map(({ id }) => ({ like: id, of: home })), indices: [texts], k: TAGS, columns: ["record_id", "text"] };
    const { answers } = await ask("query", {}, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
    answers.forEach(({ hits }, at) => rows.push(...hits.map(({ rank, score, record }) => (
      { record_id: part[at].id, picture: part[at].title, rank, similarity: score, tag: record.text, tag_id: record.record_id }))));
  }
  return rows;
}

function exports(rows) {
  const button = (words, type, text) => el("button", { type: "button", onclick: () => save(`tags.${words.toLowerCase()}`, new Blob([text()], { type })) }, words);
  return el("p", { class: "links" }, button("CSV", "text/csv", () => csvOf(rows)), button("JSON", "application/json", () => JSON.stringify(rows, null, 1)));
}

function tagged({ title, picture }, rows, texts) {
  const links = rows.map(({ tag }) => el("a", { href: href({ q: tag }), "data-view": "", title: `Search for “${tag}”` }, tag));
  return el("li", {}, picture ? el("img", { src: `${picture}&size=256`, alt: "", loading: "lazy" }) : el("i", {}),
    el("div", {}, el("b", {}, title), el("p", { class: "links", "aria-label": `Tags from ${texts}` }, ...links)));
}
