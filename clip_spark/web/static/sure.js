// How sure a hit is, where its index is calibrated: `chance` is how often an unrelated pair scores as high (docs/answers.md).

import { el } from "./dom.js";

const WORDS = [[0.0005, "very likely"], [0.002, "likely"], [0.02, "perhaps"], [Infinity, "hardly"]];
const SUREST = 5; // a chance of 1 in 100,000 fills the bar

/** What to call a chance. */
export const wordsOf = (chance) => WORDS.find(([most]) => chance <= most)[1];

/** "1 of 2,000 unrelated pairs scores as high". */
export const told = (chance) => (chance >= 0.05
  ? `${Math.round(100 * chance)} of 100 unrelated pairs score as high`
  : `1 of ${Number((1 / Math.max(chance, 1e-9)).toPrecision(2)).toLocaleString("en")} unrelated pairs scores as high`);

/** A small bar and words; null for a hit without a chance. */
export function sureness({ chance }) {
  if (chance === undefined || chance === null) return null;
  const meter = el("span", { class: "meter", "aria-hidden": "true" });
  const part = Math.min(1, -Math.log10(Math.max(chance, 1e-9)) / SUREST);
  meter.style.setProperty("--part", `${Math.max(2, 100 * part)}%`);
  return el("b", { class: "sure", title: told(chance) }, meter, wordsOf(chance));
}
