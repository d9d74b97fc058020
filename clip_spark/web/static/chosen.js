// Hits that a person chooses: a bar counts them and exports them as CSV, JSON, or a tar of the original pictures.

import { $, el, plural, save } from "./dom.js";
import { tarOf } from "./tar.js";

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
  });
  return box;
}

function showBar() {
  const bar = $("chosen");
  bar.hidden = !chosen.size;
  document.body.classList.toggle("choosing", chosen.size > 0);
  const hits = [...chosen.values()].map(({ hit }) => hit);
  const pictures = hits.filter((hit) => hit.picture);
  const button = (words, onclick) => el("button", { type: "button", onclick }, words);
  bar.replaceChildren(el("b", {}, `${plural(chosen.size, "hit")} chosen`),
    button("CSV", () => save("hits.csv", new Blob([csv(hits)], { type: "text/csv" }))),
    button("JSON", () => save("hits.json", new Blob([JSON.stringify(hits.map(plain), null, 1)], { type: "application/json" }))),
    ...(pictures.length ? [button("Pictures", (event) => savePictures(pictures, event.target))] : []),
    button("Choose none", () => {
      chosen.clear();
      for (const box of document.querySelectorAll(".choice")) box.checked = false;
      showBar();
    }));
}

const plain = (hit) => ({ ...(hit.score === undefined ? {} : { similarity: hit.score }), ...hit.record });

/** A table as CSV (RFC 4180). Texts that a spreadsheet would run as formulas get an apostrophe. */
export function csv(hits) {
  const rows = hits.map(plain);
  const names = [...new Set(rows.flatMap(Object.keys))];
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

async function savePictures(hits, button) {
  button.disabled = true;
  try {
    const files = [];
    for (const hit of hits) {
      button.textContent = `${files.length + 1} of ${hits.length}`;
      const answer = await fetch(hit.picture);
      if (!answer.ok) throw new Error(`The picture of “${hit.title}” cannot be had.`);
      const ending = (answer.headers.get("content-type") || "").split("/")[1] || "bin";
      files.push([`${hit.record.record_id}.${ending}`, new Uint8Array(await answer.arrayBuffer())]);
    }
    files.push(["hits.json", new TextEncoder().encode(JSON.stringify(hits.map(plain), null, 1))]);
    save("pictures.tar", new Blob(tarOf(files), { type: "application/x-tar" }));
    button.textContent = "Pictures";
  } catch (error) {
    button.textContent = error.message;
  } finally {
    button.disabled = false;
  }
}
