// Words on the map: names of regions, of which those that find room are shown, and typed texts with a trail of earlier ones.

import { el } from "./dom.js";
import { drawable } from "./glyphs.js";

const PADDING = 5, LETTERS = [17, 14, 12.5];
/** Zooms (1 is the first view) from which the names of each zoom of regions are shown, and from which no more. */
const SHOWN = [[0, 2.6], [1.35, 7], [3, Infinity]];

export class Names {
  constructor(host, regions) {
    this.host = host;
    this.regions = regions.map((zoom, level) => zoom.filter((one) => one.name).map((one) => ({ ...one, name: drawable(one.name), level })));
    this.pen = document.createElement("canvas").getContext("2d");
    this.widths = new Map();
    this.shown = [];
  }

  /**
   * Lay out for a camera; names of coarse regions and of large ones find room first, and a region inside of one of its name
   * says nothing more. `taken` are boxes in pixels.
   */
  lay(camera, taken) {
    const zoom = camera.scale / camera.home, boxes = [...taken], levels = new Map();
    const last = this.regions.length - 1;
    this.shown = this.regions.flat().filter(({ level }) => {
      const [from, to] = SHOWN[Math.min(level, SHOWN.length - 1)];
      return zoom >= from && (zoom < to || level === last);
    }).map((region) => ({ region, box: this.box(camera, region) })).filter(({ region: { name, level }, box }) => {
      const inside = box[0] > -20 && box[1] > 0 && box[2] < camera.width + 20 && box[3] < camera.height;
      if (!inside || (levels.get(name) ?? level) !== level || boxes.some((other) => overlap(box, other))) return false;
      boxes.push(box);
      levels.set(name, level);
      return true;
    });
    this.origin = camera.toMap(0, 0);
    this.host.replaceChildren(...this.shown.map(({ region, box }) => {
      const node = el("span", { class: `level-${Math.min(region.level, LETTERS.length - 1)}` }, region.name);
      this.move(node, box);
      return node;
    }));
    this.host.style.transform = "";
    this.scale = camera.scale;
  }

  /** Between layouts the words move with the map: as one, or each for itself where it is zoomed. */
  follow(camera) {
    if (!this.origin) return;
    if (camera.scale !== this.scale) {
      this.shown.forEach(({ region }, place) => this.move(this.host.children[place], this.box(camera, region)));
      this.host.style.transform = "";
      return;
    }
    const [left, top] = camera.toScreen(...this.origin);
    this.host.style.transform = `translate(${left}px, ${top}px)`;
  }

  move(node, box) {
    node.style.transform = `translate(${box[0] + PADDING}px, ${box[1] + PADDING}px)`;
  }

  box(camera, { name, x, y, level }) {
    const size = LETTERS[Math.min(level, LETTERS.length - 1)], [middle, top] = camera.toScreen(x, y);
    const width = this.width(name, size) / 2 + PADDING, height = size * 0.65 + PADDING;
    const seen = middle >= 0 && middle <= camera.width;  // then its name is not cut by the edge of a narrow map
    const left = seen ? Math.max(width, Math.min(middle, camera.width - width)) : middle;
    return [left - width, top - height, left + width, top + height];
  }

  width(text, size) {
    const key = `${size} ${text}`;
    if (!this.widths.has(key)) {
      this.pen.font = `650 ${size}px ${getComputedStyle(this.host).fontFamily}`;
      this.widths.set(key, this.pen.measureText(text).width);
    }
    return this.widths.get(key);
  }
}

export const overlap = (one, other) => one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];

const SPACE = "http://www.w3.org/2000/svg";

/** An element of a drawing. */
export function shape(tag, properties) {
  const node = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(properties)) node.setAttribute(name, value);
  return node;
}

/** Lead a line through pixels; one that stays as it is costs nothing. */
export function draw(line, pixels) {
  const points = pixels.map((pair) => pair.map((value) => value.toFixed(1)).join(",")).join(" ");
  if (points !== (line.getAttribute("points") ?? "")) line.setAttribute("points", points);
}

const EARLIER = 8;

/** Texts that were typed: the last one is marked, a line leads to it from those before. */
export class Trail {
  constructor(host, drawing) {
    this.host = host;
    this.line = drawing.appendChild(shape("polyline", { class: "trail" }));
    this.landed = [];
  }

  /** @param {{words: string, x: number, y: number}} one; the same words again are moved to the end */
  add(one) {
    this.landed = [...this.landed.filter(({ words }) => words !== one.words), one].slice(-EARLIER);
    this.host.replaceChildren(...this.landed.map(({ words }, place) =>
      el("span", { class: place === this.landed.length - 1 ? "landed" : "landed earlier" }, el("b", {}, words))));
  }

  /** Draw it; returns the boxes that its words take, in pixels. */
  lay(camera) {
    const at = this.landed.map(({ x, y }) => camera.toScreen(x, y));
    draw(this.line, at);
    at.forEach(([left, top], place) => (this.host.children[place].style.transform = `translate(${left}px, ${top}px)`));
    return this.landed.map(({ words }, place) => [at[place][0] - 8, at[place][1] - 12, at[place][0] + 30 + words.length * 8, at[place][1] + 12]);
  }
}
