// A map in the page: opened once, moved to where the address says, and asked what the page is asked.

import { $, el } from "./dom.js";
import { showDetails } from "./details.js";
import { MapView, newDrawing } from "./map.js";
import { openServed } from "./map_source.js";
import { href, mapView, seeOnMap } from "./state.js";
import { showTags, taggers } from "./tags.js";

let shown = null; // {name, view}
let landed = ""; // the search that is lit

/**
 * Show what the address says.
 * @param {{map: string, at: string | null, colour: string | null}} wanted
 * @param {object} view of state.js: q, like, of, index, file
 * @param {{indices: object[], show: (view: object) => void, signal: AbortSignal}} page
 */
export async function showMap(wanted, view, page) {
  document.title = `${view.q ? `${view.q} · ` : ""}Map · clip-spark`;
  $("title").textContent = "Map";
  $("title").hidden = false;
  if (shown?.name !== wanted.map) await open(wanted, page);
  else restore(wanted);
  const question = await asked(view);
  if (question.key === landed) return;
  landed = question.key;
  if (!question.key) return void shown.view.unlight();
  try {
    await shown.view.land({ ...question.query, stay: Boolean(wanted.at) }, page.signal);
  } catch (error) {
    landed = "";
    throw error;
  }
}

async function open(wanted, page) {
  shown?.view.close();
  shown = null;
  landed = "";
  const coming = openServed(wanted.map, page.signal), drawing = newDrawing();
  const { map, source } = await coming;
  shown = { name: wanted.map, view: new MapView($("map"), map, source, {
    drawing, at: wanted.at, colour: wanted.colour, changed: seen(wanted.map), actions: (point) => ways(point, map, page),
    tags: (points) => tagButtons(points, map, page.indices), cleared: () => page.show({ ...mapView(), q: null }) ?? true,
  }) };
}

/** A button for each index of texts that can tag the pictures among some points. */
function tagButtons(points, map, indices) {
  const home = indices.find((index) => index.name === map.homes.image), pictures = points.filter(({ kind }) => kind === "image");
  if (!home || !pictures.length) return [];
  const listed = () => pictures.map((one) => ({ id: one.record_id, title: one.text || fileName(one.uri), picture: pictureOf(home, one) }));
  return taggers(home, indices).map((texts) => el("button", { type: "button", onclick: () => showTags(listed(), home.name, texts.name) }, `Tags from ${texts.name}`));
}

const fileName = (uri) => (uri ?? "").split("::")[0].split("/").pop();
const pictureOf = (home, { record_id: id }) => `picture/${encodeURIComponent(id)}?index=${encodeURIComponent(home.name)}`;

function restore({ at, colour }) {
  const { view } = shown;
  if (colour !== view.colouredBy) view.colour(colour || "kind");
  if (at && at !== view.camera.toText()) {
    view.camera.fromText(at);
    view.moved();
  }
  view.still();
}

/** Where the map is goes into the address, unless the page has left it meanwhile. */
const seen = (name) => (state) => {
  if (mapView()?.map === name && !$("map").hidden) seeOnMap(state);
};

/** What is searched for, as the server wants it, and a key that tells it from others. */
async function asked({ q, like, of, index, file }) {
  const kept = { index: index || "" };
  if (q) return { key: `q ${q} ${index}`, query: { ...kept, text: q, words: q } };
  if (like) return { key: `like ${like} ${of} ${index}`, query: { ...kept, like, of: of || undefined, words: "this record" } };
  if (!file) return { key: "" };
  return { key: `file ${file.name} ${file.size} ${file.lastModified}`, query: { ...kept, image: await base64(file), words: file.name || "your picture" } };
}

function base64(file) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(String(reader.result).split(",")[1]);
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(file);
  });
}

/** Ways on from a point. */
function ways(point, map, { indices }) {
  const home = indices.find((index) => index.name === map.homes[point.kind]);
  const link = (view, words) => el("a", { href: href(view), "data-view": "" }, words);
  if (!home) return [link({ ...mapView(), at: null, q: point.title }, "Find these words")];
  const like = { like: point.record.record_id, index: home.name };
  return [link(like, "More like this"), link({ ...mapView(), at: null, ...like }, "Like this, on the map"),
    el("button", { type: "button", onclick: () => showDetails(point, home, indices) }, "Details")];
}
