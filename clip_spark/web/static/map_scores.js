// How near each point is to what was searched for: scores come tile by tile, as the tiles in view do, and go with their search.

import { readArrow } from "./map_arrow.js";

/** The name under which points are coloured by them; no column is called so. */
export const SCORE = "~score";
const AT_ONCE = 4, AGAIN_MS = 5000;

export class Scores {
  /** `came(tile)` is called when the scores of a tile are here, `failed(error)` when they cannot be had. */
  constructor(source, { came, failed }) {
    this.source = source;
    this.came = came;
    this.failed = failed;
    this.of(null);
  }

  /** Another search, as a landing has it; null for none. */
  of(asked) {
    this.abort?.abort();
    this.abort = new AbortController();
    this.asked = asked;
    this.known = new WeakMap(); // tile -> column: they go when their tile goes
    this.coming = new Set();
    this.lost = new Map();
    this.wanted = [];
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
    this.wanted = tiles.filter((tile) => !this.known.has(tile) && this.source.map.homes[tile.kind]);
    this.load();
  }

  load() {
    for (const tile of this.wanted) {
      if (this.coming.size >= AT_ONCE) return;
      if (!this.coming.has(tile) && !this.known.has(tile) && !(this.lost.get(tile.name) > performance.now())) this.fetch(tile);
    }
  }

  async fetch(tile) {
    const { abort, known, coming, lost } = this; // of this search: another one has others
    coming.add(tile);
    try {
      const file = readArrow(await this.source.scores(tile.name, this.asked, abort.signal));
      known.set(tile, file.columns.get("score"));
      if (known === this.known) this.came(tile);
    } catch (error) {
      lost.set(tile.name, performance.now() + AGAIN_MS);
      if (error.name !== "AbortError") this.failed(error);
    } finally {
      coming.delete(tile);
      if (coming === this.coming) this.load();
    }
  }
}
