// What a map asks its source for: a few things at a time, the most wanted first; what cannot be had is not asked for again at once.

const AGAIN_MS = 5000;

/** @template Key */
export class Queue {
  /**
   * @param {number} most are on their way at once
   * @param {(key: Key, signal: AbortSignal) => Promise<void>} get one thing, and keep it
   * @param {(error: Error) => void} [failed] is told why one cannot be had
   */
  constructor(most, get, failed = () => {}) {
    this.most = most;
    this.get = get;
    this.failed = failed;
    this.clear();
  }

  /** Nothing is wanted any more, and what was lost may be asked for. */
  clear() {
    for (const abort of this.coming?.values() ?? []) abort.abort();
    /** @type {Key[]} */
    this.wanted = [];
    this.coming = new Map();
    this.lost = new Map();
  }

  /** These are wanted now, in this order. */
  want(keys) {
    this.wanted = keys;
    this.fill();
  }

  /** Those that are on their way, and not wanted any more, are not waited for. */
  drop() {
    for (const [key, abort] of this.coming) if (!this.wanted.includes(key)) abort.abort();
  }

  fill() {
    for (const key of this.wanted) {
      if (this.coming.size >= this.most) return;
      if (!this.coming.has(key) && !(this.lost.get(key) > performance.now())) this.start(key);
    }
  }

  async start(key) {
    const { coming, lost } = this, abort = new AbortController(); // those of before a `clear` are nobody's
    coming.set(key, abort);
    try {
      await this.get(key, abort.signal);
      if (coming === this.coming) this.wanted = this.wanted.filter((other) => other !== key);
    } catch (error) {
      if (error.name !== "AbortError") {
        lost.set(key, performance.now() + AGAIN_MS);
        this.failed(error);
      }
    } finally {
      coming.delete(key);
      if (coming === this.coming) this.fill();
    }
  }
}
