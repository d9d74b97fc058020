// Small helpers around the DOM. Text is always set as text, never as HTML: captions come from anywhere.

import { drawable } from "./glyphs.js";

/** @type {(id: string) => any} which kind of element has an id, the page says */
export const $ = (id) => document.getElementById(id);

/**
 * An element with properties (class, href, onclick, aria-label, ...) and children.
 * @returns {any} of the kind of its tag
 */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined).map((child) => (typeof child === "string" ? drawable(child) : child)));
  return node;
}

export const CROSS = ["M6 6l12 12", "M18 6L6 18"];
export const INFO = ["M12 11v5.500", "M12 7.600v.1", "M12 3.500a8.500 8.500 0 1 0 0 17a8.500 8.500 0 1 0 0-17z"];

/** A drawing from the paths of an icon. */
export function icon(...paths) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  for (const d of paths) {
    const path = document.createElementNS(space, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

const numbers = new Intl.NumberFormat("en");

export const number = (value) => numbers.format(Number(value));
export const plural = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;

/** Give a file to the person. */
export function save(name, data) {
  const link = el("a", { href: URL.createObjectURL(data), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
