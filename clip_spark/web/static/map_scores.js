// How near each point is to what was searched for: scores come tile by tile, as the tiles in view do, and go with their search.

import { readArrow } from "./map_arrow.js";
import { Queue } from "./map_queue.js";

/** The name under which points are coloured by them; no column is called so. */
export const SCORE = "~score";
const AT_ONCE = 4;

export class Scores {
  /** `came(tile)` is called when the scores of a tile are here, `failed(error)` when they cannot be had. */
  constructor(source, { came, failed }) {
    this.source = source;
    this.came = came;
    this.queue = new Queue(AT_ONCE, (tile, signal) => this.fetch(tile, signal), failed);
    this.of(null);
  }

  /** Another search, as a landing has it; null for none. */
  of(asked) {
    this.queue.clear();
    this.asked = asked;
    this.known = new WeakMap(); // tile -> column: they go when their tile goes
  }

  /** The scores of a tile as a column of its file, undefined while they are not here. */
  get(tile) {
    return this.known.get(tile);
  }

  /** The score of a point, null where it has none. */
  value(tile, at) {
    const column = this.known.get(tile), row = tile.rows[at];
    return column?.there(row) ? column.values[row] : null;
  }

  /** Ask for the scores of the tiles in view that have none yet, coarse to fine. */
  ask(tiles) {
    if (!this.asked) return;
    this.queue.want(tiles.filter((tile) => !this.known.has(tile) && this.source.map.homes[tile.kind]));
  }

  async fetch(tile, signal) {
    const { known } = this; // of this search: another one has others
    const file = readArrow(await this.source.scores(tile.name, this.asked, signal));
    known.set(tile, file.columns.get("score"));
    if (known === this.known) this.came(tile);
  }
}
