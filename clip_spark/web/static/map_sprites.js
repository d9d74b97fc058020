// Which points show their picture, and the sheets that these come in: chosen so that pictures never overlap and stay where
// they are while one moves; 64 are asked for at once.

import { SHEET, SHEETS } from "./map_gl.js";
import { Queue } from "./map_queue.js";

export const SIZE = 54; // CSS pixels of a picture's longer side
const A_SHEET = SHEET * SHEET, AT_ONCE = 3, MOST = 700;

export class Sprites {
  /** `painter` takes the sheets; `came()` is called when one is there. */
  constructor(source, painter, came) {
    this.source = source;
    this.painter = painter;
    this.came = came;
    this.cells = new Map(); // point -> {sheet, at}
    this.sheets = []; // by place in the texture: {names, used, ready}
    this.queue = new Queue(AT_ONCE, (names) => this.fetch(names));
    this.clock = 0;
    this.chosen = [];
  }

  /** The card has lost all. */
  forget() {
    this.cells.clear();
    this.sheets = [];
  }

  /**
   * Choose the pictures of a view. Each cell of a grid that lies still on the map shows one: that which appears first as one
   * zooms in. Neighbours that would overlap it are left out.
   * @param {Iterable<{name: string, x: number, y: number}>} candidates coarse to fine
   */
  choose(candidates, scale) {
    const side = 2 ** Math.ceil(Math.log2((SIZE + 6) / scale)), taken = new Map(), apart = (SIZE + 4) / scale;
    this.chosen = [];
    for (const one of candidates) {
      const [column, row] = [Math.floor(one.x / side), Math.floor(one.y / side)];
      const free = [-1, 0, 1].every((right) => [-1, 0, 1].every((up) => {
        const other = taken.get(`${column + right},${row + up}`);
        return !other || Math.abs(other.x - one.x) >= apart || Math.abs(other.y - one.y) >= apart;
      }));
      if (!free || taken.has(`${column},${row}`)) continue;
      taken.set(`${column},${row}`, one);
      this.chosen.push(one);
      if (this.chosen.length >= MOST) break;
    }
    this.ask();
  }

  /** Those of the chosen whose picture is here. */
  ready() {
    this.clock++;
    const found = [];
    for (const one of this.chosen) {
      const cell = this.cells.get(one.name), sheet = cell && this.sheets[cell.sheet];
      if (!sheet?.ready) continue;
      sheet.used = this.clock;
      found.push({ x: one.x, y: one.y, cell: this.painter.cell(cell.sheet, cell.at) });
    }
    return found;
  }

  ask() {
    const missing = this.chosen.filter(({ name }) => !this.cells.has(name)).map(({ name }) => name);
    this.queue.want(Array.from({ length: Math.ceil(missing.length / A_SHEET) }, (_, at) => missing.slice(at * A_SHEET, (at + 1) * A_SHEET)));
  }

  /** A place for a sheet: a free one, or that of the sheet which nobody has seen for longest. */
  place() {
    if (this.sheets.length < SHEETS) return this.sheets.length;
    const old = this.sheets.map((sheet, at) => [sheet, at]).filter(([sheet]) => sheet.ready && sheet.used < this.clock);
    if (!old.length) return null;
    const [sheet, at] = old.reduce((one, other) => (other[0].used < one[0].used ? other : one));
    for (const name of sheet.names) this.cells.delete(name);
    return at;
  }

  async fetch(names) {
    const place = this.place();
    if (place === null) return; // the next view asks again
    const sheet = { names, used: this.clock, ready: false };
    this.sheets[place] = sheet;
    names.forEach((name, at) => this.cells.set(name, { sheet: place, at }));
    try {
      const image = await this.source.sheet(names);
      if (this.sheets[place] === sheet) this.painter.putSheet(place, image); // else the card was lost meanwhile
      image.close?.();
      sheet.ready = true;
      this.came();
      this.ask(); // a place may be free by now
    } catch {
      for (const name of names) this.cells.delete(name); // they stay dots; the next view asks again
      Object.assign(sheet, { ready: true, names: [] });
    }
  }
}
