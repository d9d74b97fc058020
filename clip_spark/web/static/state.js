// What the page shows is in its address: ?q=words, ?like=RECORD_ID&of=INDEX, &index=NAME, &unique, &both and &compare. An uploaded picture
// cannot be in an address; it is kept here while the page is open, under a number in the history entry. A map adds &map, &at and &colour.

const uploads = new Map();

/** {q, like, of, index, unique, both, where, also, compare, file}: at most one of q, like and file is set; none is the start page. */
export function currentView() {
  const given = new URLSearchParams(location.search);
  const get = (name) => given.get(name) || null;
  const file = uploads.get(history.state?.upload) || null;
  return { q: file ? null : get("q"), like: get("like"), of: get("of"), index: get("index"), unique: get("unique"), both: get("both"), where: get("where"), also: get("also"), compare: get("compare"), file };
}

/** {map, at, colour} where the address names a map: its name, what of it is seen, and what its colours say; else null. */
export function mapView() {
  const given = new URLSearchParams(location.search);
  return given.get("map") ? { map: given.get("map"), at: given.get("at"), colour: given.get("colour") } : null;
}

/** The address follows what is seen of a map, without a step in the history. */
export function seeOnMap({ at, colour }) {
  const given = new URLSearchParams(location.search);
  given.set("at", at);
  if (colour === "kind") given.delete("colour");
  else given.set("colour", colour);
  history.replaceState(history.state, "", `?${given}`);
}

export function href(view) {
  const given = Object.entries(view).filter(([name, value]) => value && name !== "file");
  return given.length ? `?${new URLSearchParams(given)}` : ".";
}

export function go(view) {
  const state = {};
  if (view.file) {
    state.upload = uploads.size + 1;
    uploads.set(state.upload, view.file);
  }
  history.pushState(state, "", href(view));
}

/** The same question to another index. A record is named together with the index that it lies in. */
export function inIndex(view, index, first) {
  const { q, like, unique, both, also, compare } = view; // another index has other columns: no `where`
  if (!like) return { q, index, unique, both, also, compare };
  const home = view.of || view.index || first;
  return { like, of: home === index ? null : home, index, unique, both, also, compare };
}
