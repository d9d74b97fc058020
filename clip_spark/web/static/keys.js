// Arrow keys in the hits: left and right to the next, up and down by rows; Home and End.

import { $ } from "./dom.js";

export function watchKeys() {
  $("columns").addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || /** @type {any} */ (event.target).matches("input")) return;
    const links = [...(/** @type {any} */ (event.target).closest("ol") ?? $("results")).querySelectorAll("li > a")];
    const at = links.indexOf(/** @type {any} */ (event.target).closest("li")?.querySelector("a"));
    const next = links[placeAfter(event.key, at, links)];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
}

function placeAfter(key, at, links) {
  const across = at < 0 ? 1 : links.filter((link) => top(link) === top(links[0])).length;
  if (key === "Home") return 0;
  if (key === "End") return links.length - 1;
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[key];
  return step === undefined ? -1 : at < 0 ? 0 : at + step;
}

const top = (link) => link.closest("li").offsetTop; // where it stands, however far its animation is
