// Hits that a person chooses: a bar counts them, exports them as CSV, JSON, or a tar of the original pictures, tags pictures by
// an index of texts, and takes records down where the server allows it.

import { ask } from "./api.js";
import { $, el, plural, save } from "./dom.js";
import { csvOf } from "./table.js";
import { showTags, taggers } from "./tags.js";
import { tarOf } from "./tar.js";

let indices = []; // all that are served

/** Tell what is served, which says what can be done with chosen hits. */
export const chooseFrom = (served) => (indices = served);

const chosen = new Map(); // index and record_id -> {hit, index}

/** The box of a hit that chooses it. */
export function choice(hit, name, index) {
  const id = `${index.name} ${hit.record.record_id}`;
  const box = el("input", { type: "checkbox", class: "choice", "aria-label": `Choose ${name}`, title: "Choose" });
  box.checked = chosen.has(id);
  box.addEventListener("change", () => {
    if (box.checked) chosen.set(id, { hit, index });
    else chosen.delete(id);
    showBar();
    box.scrollIntoView({ block: "nearest" }); // out from under the bar
  });
  return box;
}

/** How high the bar is, which depends on its buttons and on the window, so that the page leaves room for it. */
const height = new ResizeObserver(([{ target }]) => document.documentElement.style.setProperty("--bar", `${/** @type {HTMLElement} */ (target).offsetHeight}px`));
height.observe($("chosen"));

function showBar() {
  const bar = $("chosen");
  const lost = bar.contains(document.activeElement) || document.activeElement === document.body; // as of a button that was disabled
  if (!chosen.size && lost) $("results").focus({ preventScroll: true });
  bar.hidden = !chosen.size;
  document.body.classList.toggle("choosing", chosen.size > 0);
  const hits = [...chosen.values()].map(({ hit }) => hit);
  const pictures = hits.filter((hit) => hit.picture);
  const button = (words, onclick) => el("button", { type: "button", onclick }, words);
  bar.replaceChildren(el("b", {}, `${plural(chosen.size, "hit")} chosen`),
    button("CSV", () => save("hits.csv", new Blob([csvOf(hits.map(plain))], { type: "text/csv" }))),
    button("JSON", () => save("hits.json", new Blob([JSON.stringify(hits.map(plain), null, 1)], { type: "application/json" }))),
    ...(pictures.length ? [button("Pictures", (event) => savePictures(pictures, event.target))] : []),
    ...tagButtons(button), ...(takedowns() ? [button("Take down", takeDown)] : []),
    button("Choose none", chooseNone));
}

function chooseNone() {
  chosen.clear();
  for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll(".choice"))) box.checked = false;
  showBar();
}

/** The chosen hits by their index: [[index, hits]]. */
function byIndex() {
  const found = new Map();
  for (const { hit, index } of chosen.values()) found.set(index, [...(found.get(index) ?? []), hit]);
  return [...found];
}

/** A button for each index of texts that can tag what is chosen; pictures of several indices are tagged each for themselves. */
function tagButtons(button) {
  return byIndex().flatMap(([index, hits]) => taggers(index, indices).map((texts) => button(`Tags from ${texts.name}`, () => showTags(
    hits.map((hit) => ({ id: hit.record.record_id, title: hit.title, picture: hit.picture })), index.name, texts.name))));
}

const takedowns = () => indices.some((index) => index.takedowns);

/** Take the chosen records down for good, after a question. */
async function takeDown(event) {
  const parts = byIndex(), what = parts.map(([index, hits]) => `${plural(hits.length, "record")} of ${index.name}`).join(" and ");
  if (!window.confirm(`Take down ${what}? Nobody will find them any more, and no rebuild brings them back.`)) return;
  event.target.disabled = true;
  try {
    for (const [index, hits] of parts) {
      const ids = hits.map((hit) => hit.record.record_id);
      await ask("takedown", {}, { method: "POST", body: JSON.stringify({ index: index.name, record_ids: ids }), headers: { "Content-Type": "application/json" } });
      for (const item of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#columns li[data-record]"))) {
        if (item.dataset.index === index.name && ids.includes(item.dataset.record)) item.remove();
      }
      for (const id of ids) chosen.delete(`${index.name} ${id}`);
    }
    showBar();
    $("status").textContent = `${what} ${chosenWords(parts)} taken down.`;
    $("status").scrollIntoView({ block: "nearest" });
  } catch (error) {
    event.target.textContent = error.message;
  }
}

const chosenWords = (parts) => (parts.length === 1 && parts[0][1].length === 1 ? "was" : "were");

const plain = (hit) => ({ ...(hit.score === undefined ? {} : { similarity: hit.score }), ...hit.record });

async function savePictures(hits, button) {
  button.disabled = true;
  try {
    /** @type {[string, Uint8Array][]} */
    const files = [];
    for (const hit of hits) {
      button.textContent = `${files.length + 1} of ${hits.length}`;
      const answer = await fetch(hit.picture);
      if (!answer.ok) throw new Error(`The picture of “${hit.title}” cannot be had.`);
      const ending = (answer.headers.get("content-type") || "").split("/")[1] || "bin";
      files.push([`${hit.record.record_id}.${ending}`, new Uint8Array(await answer.arrayBuffer())]);
    }
    files.push(["hits.json", new TextEncoder().encode(JSON.stringify(hits.map(plain), null, 1))]);
    save("pictures.tar", new Blob(/** @type {BlobPart[]} */ (tarOf(files)), { type: "application/x-tar" }));
    button.textContent = "Pictures";
  } catch (error) {
    button.textContent = error.message;
  } finally {
    button.disabled = false;
  }
}
