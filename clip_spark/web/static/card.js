// The card of an index: what a person should know before trusting what it finds, and how to name it.

import { cardOf } from "./api.js";
import { $, CROSS, INFO, el, icon, number } from "./dom.js";

/** The button beside the tab of an index that opens its card. */
export const cardButton = (name) =>
  el("button", { type: "button", class: "plain about", "aria-label": `About the index ${name}`, title: "About this index", onclick: () => showCard(name) }, icon(...INFO));

async function showCard(name) {
  const box = $("card");
  const close = el("button", { type: "button", class: "plain close", "aria-label": "Close", onclick: () => box.close() }, icon(...CROSS));
  const side = el("div", { class: "side" }, el("h2", { id: "card-title" }, name), el("p", { role: "status" }, "…"));
  box.replaceChildren(side, close);
  box.showModal();
  try {
    side.lastChild.replaceWith(...told(await cardOf(name)));
  } catch (error) {
    side.lastChild.textContent = error.message;
  }
}

function told(card) {
  const facts = factsOf(card).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]);
  const copy = el("button", { type: "button", onclick: async () => {
    await navigator.clipboard.writeText(card.cite);
    copy.textContent = "Copied";
  } }, "Copy");
  const cite = [el("h3", {}, "How to cite"), el("p", { class: "cite" }, card.cite)];
  return [el("dl", {}, ...facts), ...cite, ...(navigator.clipboard ? [el("p", { class: "links" }, copy)] : [])];
}

/** [[what, how many]] in words. */
const counted = (pairs) => pairs.map(([what, count]) => `${number(count)} ${what}`).join(", ");

const percent = (share) => `${number(Math.round(1000 * share) / 10)} %`;

/** What real queries find, as the server has checked beside them. */
const checkedOf = ({ checked, recall, expected, warning }) =>
  `find ${percent(recall)} of their true best${expected === null ? "" : ` (${percent(expected)} is expected)`}; ${number(checked)} checked` +
  (warning ? `. Too few: ${warning}` : "");

function factsOf({ kind, rows, removed, model, weights_sha256: weights, dim, key, generation, built, in_pieces: inPieces, recall, recall_cross: cross, watched, calibrated, rejects, lost, licences, columns }) {
  const dropped = counted([...Object.entries(rejects), ...Object.entries(lost ?? {})]);
  const terms = Object.entries(licences).map(([column, values]) => `${column}: ${counted(values.map(({ value, count }) => [value ?? "not said", count]))}`).join("; ");
  const found = recall.map(({ k, recall: share }) => `${percent(share)} of the true nearest ${number(k)}`).join(", ");
  return [
    [kind === "image" ? "Pictures" : "Texts", number(rows) + (removed ? `, and ${number(removed)} that were taken down` : "")],
    ["Model", `${model}, ${number(dim)} numbers${weights ? `, weights ${weights.slice(0, 12)}` : ""}`],
    ["Built", `${built.slice(0, 16).replace("T", " ")} UTC, generation ${generation || "first"}`],
    ["Faiss key", key],
    ...(inPieces ? [["Files", "in an object store: pieces of them answer until all are fetched"]] : []),
    ["Finds", found ? found + (cross === null ? "" : `; ${percent(cross)} of ten for ${kind === "image" ? "words" : "pictures"}`) : "not measured"],
    ...(watched ? [["Real queries", checkedOf(watched)]] : []),
    ["Says how sure", calibrated ? `yes, for ${kind === "image" ? "words" : "pictures"}` : "no (calibrate-index teaches it)"],
    ["Left out", dropped || (lost ? "nothing" : "nothing when it was built; what came before is not known")],
    ["Licence", terms || "the records do not say"],
    ["Columns", columns.join(", ")],
  ];
}
