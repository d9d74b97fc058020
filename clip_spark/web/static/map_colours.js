// What the colour of a point says: its kind, or the value of a column, in steps that a palette has colours for.

import { valueOf } from "./map_arrow.js";

export const STEPS = 24;
/** Told apart by most people, on light and on dark grounds (after Okabe and Ito, and two more). */
const WORDS = ["#3b7dd8", "#e08a1e", "#2a9d6f", "#c2569b", "#7c6bd6", "#d1495b", "#3aa6b9", "#9a8c2c", "#8d6e63", "#5c8a3a"];
const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]; // viridis
const REST = [136, 140, 150];
/** From what is far from a search to what is nearest, away from the ground: [on light, on dark]. */
const NEARER = [[[146, 156, 176], [224, 164, 88], [208, 62, 62], [110, 8, 84]], [[104, 112, 132], [170, 92, 84], [246, 150, 56], [255, 242, 160]]];
const FAINT = 0.3; // strength of what is farthest

export const FIRST_KIND = { image: 0, text: 1 };

/** Colours of a scale from 0 to 1. @returns {number[]} red, green, blue */
export function ramp(part, colours = RAMP) {
  const at = Math.min(Math.max(part, 0), 1) * (colours.length - 1), low = Math.min(Math.floor(at), colours.length - 2);
  return colours[low].map((value, band) => Math.round(value + (colours[low + 1][band] - value) * (at - low)));
}

export const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;
const hex = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));

/** Any colour that CSS knows as numbers, system colours too. */
export function resolved(host, name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  host.append(probe);
  const found = getComputedStyle(probe).color.match(/[\d.]+/g)?.slice(0, 3).map(Number) ?? REST;
  probe.remove();
  return found;
}

/**
 * A way to colour points: `code(tile)` gives a number for each point, `palette` its colours, `legend` says what they mean: a
 * colour each, or a scale from one value to another. `of` gives the colour of a score.
 * @typedef {{label: string, colour?: number[], colours?: number[][], from?: string, to?: string}} Meaning
 * @typedef {{code: (tile) => Uint8Array, palette: number[][], legend: Meaning[], strengths?: number[], note?: string, of?: (kind: string, score: number) => number[]}} Colouring
 */

const KINDS = { image: "Pictures", text: "Texts" };

/** By kind. @returns {Colouring} */
export function byKind(host, kinds) {
  const palette = [resolved(host, "--map-image"), resolved(host, "--map-text")];
  return {
    code: (tile) => new Uint8Array(tile.count).fill(FIRST_KIND[tile.kind]),
    palette,
    legend: kinds.map((kind) => ({ label: KINDS[kind], colour: palette[FIRST_KIND[kind]] })),
  };
}

/** By a column, whose values in a fair sample of the points say what colours mean. @returns {Colouring} */
export function byColumn(name, sample) {
  const columns = sample.map((tile) => tile.columns.get(name)).filter(Boolean);
  if (!columns.length) return { code: (tile) => new Uint8Array(tile.count), palette: [REST], legend: [{ label: "no value", colour: REST }] };
  return columns[0].kind === "number" ? byNumber(name, sample) : byWord(name, sample);
}

function byNumber(name, sample) {
  const values = [];
  for (const tile of sample) {
    const column = tile.columns.get(name);
    for (let row = 0; column && row < tile.count; row++) if (column.there(row)) values.push(Number(column.values[row]));
  }
  values.sort((one, other) => one - other);
  const finite = values.filter(Number.isFinite), at = (part) => finite[Math.floor(part * (finite.length - 1))] ?? 0;
  const [low, high] = [at(0.02), at(0.98)], reach = high - low || 1;
  const palette = [REST, ...Array.from({ length: STEPS }, (_, step) => ramp(step / (STEPS - 1)))];
  const code = (tile) => {
    const column = tile.columns.get(name), codes = new Uint8Array(tile.count);
    for (let point = 0; column && point < tile.count; point++) {
      const row = tile.rows[point], value = Number(column.values[row]);
      if (column.there(row) && Number.isFinite(value)) codes[point] = 1 + Math.round(Math.min(Math.max((value - low) / reach, 0), 1) * (STEPS - 1));
    }
    return codes;
  };
  const shown = [0, 0.5, 1].map((part) => ({ label: rounded(low + part * reach), colour: ramp(part) }));
  return { code, palette, legend: [...shown, { label: "no value", colour: REST }] };
}

const rounded = (value) => Number(value.toPrecision(4)).toLocaleString("en");

/** A key for bytes without decoding them: thousands of points have a few words. */
function keyOf(bytes) {
  let key = bytes.length;
  for (const byte of bytes) key = (Math.imul(key, 31) + byte) | 0;
  return key;
}

/**
 * By the scores of a search (map_scores.js). Each kind has a scale of its own, from the middle one of a fair sample to the best: a
 * text is nearer to any text than a picture is.
 * @param {(tile) => any} scores the column of a tile's scores, undefined while it is not here
 * @param {Record<string, number>} best the best score of a kind, where that is known
 * @returns {Colouring}
 */
export function byScore(scores, sample, best, dark) {
  const scales = Object.fromEntries(sample.filter(scores).map((tile) => [tile.kind, scaleOf(scores(tile), tile.count, best[tile.kind])]));
  const steps = Array.from({ length: STEPS }, (_, step) => ramp(step / (STEPS - 1), NEARER[Number(dark)]));
  const step = (kind, score) => {
    const [low, high] = scales[kind] ?? [0, 1];
    return Math.round(Math.min(Math.max((score - low) / (high - low || 1), 0), 1) * (STEPS - 1));
  };
  const code = (tile) => {
    const column = scales[tile.kind] && scores(tile), codes = new Uint8Array(tile.count);
    for (let point = 0; column && point < tile.count; point++) {
      const row = tile.rows[point];
      if (column.there(row)) codes[point] = 1 + step(tile.kind, column.values[row]);
    }
    return codes;
  };
  const legend = Object.entries(scales).map(([kind, [low, high]]) => ({ label: KINDS[kind], colours: steps, from: low.toFixed(2), to: high.toFixed(2) }));
  const strengths = [FAINT, ...steps.map((_, at) => FAINT + ((1 - FAINT) * at) / (STEPS - 1))];
  return { code, palette: [REST, ...steps], strengths, legend: [...legend, { label: "no score", colour: REST }], of: (kind, score) => steps[step(kind, score)] };
}

/** @returns {[number, number]} */
function scaleOf(column, count, best = -1) {
  const values = [];
  for (let row = 0; row < count; row++) if (column.there(row)) values.push(column.values[row]);
  values.sort((one, other) => one - other);
  return [values[values.length >> 1] ?? 0, Math.max(values.at(-1) ?? 0, best)];
}

function byWord(name, sample) {
  const counts = new Map();
  for (const tile of sample) {
    const column = tile.columns.get(name);
    for (let row = 0; column && row < tile.count; row++) {
      if (!column.there(row)) continue;
      const key = keyOf(column.bytes(row)), known = counts.get(key);
      if (known) known.count++;
      else counts.set(key, { count: 1, word: valueOf(column, row) });
    }
  }
  const ranked = [...counts].sort(([, one], [, other]) => other.count - one.count || (one.word < other.word ? -1 : 1));
  const codes = new Map(ranked.slice(0, WORDS.length).map(([key], place) => [key, place + 1]));
  const palette = [REST, ...WORDS.map(hex)];
  const code = (tile) => {
    const column = tile.columns.get(name), found = new Uint8Array(tile.count);
    for (let point = 0; column && point < tile.count; point++) {
      const row = tile.rows[point];
      if (column.there(row)) found[point] = codes.get(keyOf(column.bytes(row))) ?? 0;
    }
    return found;
  };
  const legend = ranked.slice(0, WORDS.length).map(([, { word }], place) => ({ label: word, colour: palette[place + 1] }));
  return { code, palette, legend: [...legend, { label: ranked.length > WORDS.length ? `others (${ranked.length - WORDS.length}) or none` : "no value", colour: REST }] };
}
