// Lines of the corpus in which a text stands, below its details; each is a way to pictures.

import { ask } from "./api.js";
import { el } from "./dom.js";
import { href } from "./state.js";

/** The lines of a hit; empty for pictures, for a server that knows none, and until there are some. */
export function linesOf(hit, index, indices) {
  const text = index.lines && index.kind === "text" ? hit.record.text : "";
  const box = el("section", { class: "stands" });
  if (text) ask("lines", { text }).then(({ lines }) => fill(box, lines, pictures(index, indices)), () => {}); // the rest is there
  return box;
}

/** The index that a line is a search of: of pictures if there is one by the same model. */
const pictures = (index, indices) => (indices.find((other) => other.kind === "image" && other.model === index.model) || index).name;

function fill(box, lines, target) {
  if (!lines?.length) return;
  const items = lines.map(({ line, source }) => el("li", {},
    el("a", { href: href({ q: line, index: target }), "data-view": "", title: "Search with this line" }, line), el("small", { title: source }, source.split("/").pop())));
  box.append(el("h3", {}, "Where it stands"), el("ul", {}, ...items));
}
