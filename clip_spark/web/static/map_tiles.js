// Which tiles of a map a view needs, and those that are here: loaded a few at a time, and let go of when many others were seen.

import { readArrow } from "./map_arrow.js";
import { Queue } from "./map_queue.js";

const AT_ONCE = 6, HELD_POINTS = 900_000;
const CELLS = 8; // along each side of a tile; the points of a cell lie together, so that what is out of sight is not drawn

/** @typedef {{name: string, kind: string, zoom: number, column: number, row: number, points: number}} Named */

/** `image-3-5-2` taken apart. @returns {Named} */
function named(name, points) {
  const [kind, ...numbers] = name.split("-");
  const [zoom, column, row] = numbers.map(Number);
  return { name, kind, zoom, column, row, points };
}

/** The points of a tile, sorted by cell: place (two numbers of 16 bits a point), rows in the file, first point of each cell. */
function sorted(file, of) {
  const [x, y] = [file.columns.get("x").values, file.columns.get("y").values];
  const count = file.rows, cell = new Uint8Array(count), starts = new Uint32Array(CELLS * CELLS + 1);
  for (let row = 0; row < count; row++) {
    cell[row] = (y[row] >> 13) * CELLS + (x[row] >> 13); // 65,536 = 8 cells of 2 to the 13
    starts[cell[row] + 1]++;
  }
  for (let at = 0; at < CELLS * CELLS; at++) starts[at + 1] += starts[at];
  const next = starts.slice(), rows = new Uint32Array(count), places = new Uint16Array(2 * count);
  for (let row = 0; row < count; row++) {
    const at = next[cell[row]]++;
    rows[at] = row;
    places[2 * at] = x[row];
    places[2 * at + 1] = y[row];
  }
  return { ...of, count, rows, places, starts, columns: file.columns };
}

export class Tiles {
  /** `came(tile)` is called when a tile is here, `went(tile)` when it is let go of, `failed(error)` when one cannot be had. */
  constructor(map, source, { came, went, failed }) {
    this.map = map;
    this.source = source;
    this.came = came;
    this.went = went;
    this.queue = new Queue(AT_ONCE, (name, signal) => this.fetch(name, signal), failed);
    this.all = new Map(Object.entries(map.tiles).map(([name, points]) => [name, named(name, points)]));
    this.here = new Map(); // in the order in which they were seen last
  }

  /** Zoom whose tiles are about so many pixels wide. */
  zoomFor(scale, pixels) {
    const zoom = Math.floor(Math.log2((this.map.square[2] * scale) / pixels) + 0.5);
    return Math.min(Math.max(zoom, 0), this.map.deepest);
  }

  /** Corner and side of a tile: [x, y, side]. */
  square({ zoom, column, row }) {
    const [x, y, side] = this.map.square, own = side / 2 ** zoom;
    return [x + column * own, y + row * own, own];
  }

  /** The names of the tiles of zooms 0 to `zoom` that a view meets, coarse to fine; @param {number[]} seen [x0, y0, x1, y1] */
  *meeting(seen, zoom, kinds) {
    const [x, y, side] = this.map.square;
    for (let level = 0; level <= zoom; level++) {
      const most = 2 ** level, own = side / most;
      const within = (value) => Math.min(Math.max(Math.floor(value / own), 0), most - 1);
      const [left, right] = [within(seen[0] - x), within(seen[2] - x)], [low, high] = [within(seen[1] - y), within(seen[3] - y)];
      for (let column = left; column <= right; column++) {
        for (let row = low; row <= high; row++) {
          for (const kind of kinds) {
            const name = `${kind}-${level}-${column}-${row}`;
            if (this.all.has(name)) yield name;
          }
        }
      }
    }
  }

  /** The tiles of a view that are here, coarse to fine; the others are asked for. */
  look(seen, zoom, kinds) {
    const found = [], missing = [];
    for (const name of this.meeting(seen, zoom, kinds)) {
      const tile = this.here.get(name);
      if (tile) {
        this.here.delete(name);
        this.here.set(name, tile);
        found.push(tile);
      } else missing.push(name);
    }
    this.queue.want(missing);
    this.queue.drop();
    return found;
  }

  get whole() {
    return !this.queue.wanted.length;
  }

  async fetch(name, signal) {
    const tile = sorted(readArrow(await this.source.tile(name, signal)), this.all.get(name));
    this.here.set(name, tile);
    this.tidy();
    this.came(tile);
  }

  tidy() {
    let points = 0;
    for (const tile of this.here.values()) points += tile.count;
    for (const [name, tile] of this.here) {
      if (points <= HELD_POINTS || this.here.size <= 8) return;
      this.here.delete(name);
      this.went(tile);
      points -= tile.count;
    }
  }

  /** The points of a tile inside of a view, as a few ranges [first, behind the last]. */
  ranges(tile, seen) {
    const [x, y, side] = this.square(tile), own = side / CELLS;
    const within = (value) => Math.min(Math.max(Math.floor(value / own), 0), CELLS - 1);
    if (seen[2] < x || seen[3] < y || seen[0] > x + side || seen[1] > y + side) return [];
    const [left, right] = [within(seen[0] - x), within(seen[2] - x)], [low, high] = [within(seen[1] - y), within(seen[3] - y)];
    if (right - left === CELLS - 1) return [[tile.starts[low * CELLS], tile.starts[(high + 1) * CELLS]]];
    const found = [];
    for (let row = low; row <= high; row++) found.push([tile.starts[row * CELLS + left], tile.starts[row * CELLS + right + 1]]);
    return found.filter(([first, end]) => end > first);
  }

  /** Where a point of a tile lies. */
  place(tile, at) {
    const [x, y, side] = this.square(tile);
    return [x + (tile.places[2 * at] / 65536) * side, y + (tile.places[2 * at + 1] / 65536) * side];
  }

  /** The point nearest to a place, among the tiles that are shown, within a distance; null for none. */
  nearest(shown, [x, y], within) {
    let best = null, least = within * within;
    for (const tile of shown) {
      const [left, low, side] = this.square(tile), unit = side / 65536;
      for (const [first, end] of this.ranges(tile, [x - within, y - within, x + within, y + within])) {
        for (let at = first; at < end; at++) {
          const right = left + tile.places[2 * at] * unit - x, up = low + tile.places[2 * at + 1] * unit - y;
          const far = right * right + up * up;
          if (far < least) [best, least] = [{ tile, at }, far];
        }
      }
    }
    return best && { ...best, name: `${best.tile.name}.${best.tile.rows[best.at]}`, place: this.place(best.tile, best.at) };
  }
}
