// Which part of a map is seen, and the gestures that change it: drag, wheel, pinch, double click, keys. On a map y points up.

const ROOM = 0.92; // of the window that the first view fills
const OUT = 0.5, DEEPER = 64; // how far out of the first view, and beyond the deepest tiles, one may go
const STEP = 1.6, KEY_PIXELS = 80, FLIGHT_MS = 350;

export class Camera {
  /** @param {{square: number[], view: number[], deepest: number}} map */
  constructor(map) {
    this.map = map;
    this.width = this.height = 1;
    [this.x, this.y, this.scale] = [0, 0, 1]; // the middle, in units of the map, and pixels of a unit
    this.home = 1;
  }

  /** Take the size of the window in CSS pixels; what is in the middle stays there. */
  resize(width, height) {
    const [x0, y0, x1, y1] = this.map.view;
    [this.width, this.height] = [Math.max(width, 1), Math.max(height, 1)];
    const zoomed = this.scale / this.home;
    this.home = ROOM * Math.min(this.width / Math.max(x1 - x0, 1e-9), this.height / Math.max(y1 - y0, 1e-9));
    this.scale = this.home * zoomed;
  }

  /** The first view. */
  whole() {
    const [x0, y0, x1, y1] = this.map.view;
    return { x: (x0 + x1) / 2, y: (y0 + y1) / 2, scale: this.home };
  }

  set({ x, y, scale }) {
    const [left, low, side] = this.map.square;
    const most = (DEEPER * 512 * 2 ** this.map.deepest) / side;
    this.scale = Math.min(Math.max(scale, OUT * this.home), Math.max(most, 8 * this.home));
    this.x = Math.min(Math.max(x, left), left + side);
    this.y = Math.min(Math.max(y, low), low + side);
  }

  /** Pixels of a place. */
  toScreen(x, y) {
    return [this.width / 2 + (x - this.x) * this.scale, this.height / 2 - (y - this.y) * this.scale];
  }

  /** The place at some pixels. @returns {[number, number]} */
  toMap(left, top) {
    return [this.x + (left - this.width / 2) / this.scale, this.y - (top - this.height / 2) / this.scale];
  }

  /** What is seen: [x0, y0, x1, y1]. */
  seen() {
    return [...this.toMap(0, this.height), ...this.toMap(this.width, 0)];
  }

  pan(right, down) {
    this.set({ x: this.x - right / this.scale, y: this.y + down / this.scale, scale: this.scale });
  }

  /** Zoom in by a factor around some pixels, which keep their place. */
  zoom(factor, left = this.width / 2, top = this.height / 2) {
    const [x, y] = this.toMap(left, top);
    this.set({ x: this.x, y: this.y, scale: this.scale * factor });
    const [nowX, nowY] = this.toMap(left, top);
    this.set({ x: this.x + x - nowX, y: this.y + y - nowY, scale: this.scale });
  }

  /** As the address has it: `x,y,zoom`, of which zoom 1 is the first view. */
  toText() {
    const digits = Math.max(0, Math.ceil(Math.log10(this.scale)) + 1);
    return `${this.x.toFixed(digits)},${this.y.toFixed(digits)},${Number((this.scale / this.home).toPrecision(4))}`;
  }

  fromText(text) {
    const [x, y, zoom] = (text || "").split(",").map(Number);
    this.set([x, y, zoom].every(Number.isFinite) && zoom > 0 ? { x, y, scale: zoom * this.home } : this.whole());
  }
}

/**
 * Follow gestures on an element; `moved()` is called after each change, `rest()` when a movement has come to its end.
 * @returns {{fly: (to: {x: number, y: number, scale: number}) => void, step: (factor: number) => void}}
 */
export function watchGestures(host, camera, { moved, rest, lasso, tap }) {
  const held = new Map();
  let flight = 0, goal = null, dragged = false, resting = 0;
  const land = () => {
    cancelAnimationFrame(flight);
    goal = null;
  };
  const settle = () => {
    clearTimeout(resting);
    resting = setTimeout(rest, 160);
  };
  const change = () => {
    moved();
    settle();
  };
  const at = (event) => {
    const box = host.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const fly = (to) => {
    land();
    goal = to;
    moved();
    const from = { x: camera.x, y: camera.y, scale: camera.scale }, start = performance.now();
    const quick = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const frame = (now) => {
      const part = quick ? 1 : Math.min(1, (now - start) / FLIGHT_MS), eased = part * (2 - part);
      const scale = from.scale * (to.scale / from.scale) ** eased;
      // the middle moves as far as what is seen of the way, so that zooming and moving end together
      const share = from.scale === to.scale ? eased : (1 / scale - 1 / from.scale) / (1 / to.scale - 1 / from.scale);
      camera.set({ x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share, scale });
      change();
      if (part < 1) flight = requestAnimationFrame(frame);
      else goal = null;
    };
    flight = requestAnimationFrame(frame);
  };
  const step = (factor) => {
    const { x, y, scale } = goal ?? camera; // a second press goes on from where the first one leads
    fly({ x, y, scale: scale * factor });
  };

  host.addEventListener("wheel", (event) => {
    event.preventDefault();
    land();
    const lines = event.deltaMode === 1 ? 16 : 1;
    camera.zoom(Math.exp(-Math.max(-120, Math.min(120, event.deltaY * lines)) * (event.ctrlKey ? 0.01 : 0.0025)), ...at(event));
    change();
  }, { passive: false });
  host.addEventListener("pointerdown", (event) => {
    if (event.button || event.target.closest("button, a, select, input")) return;
    land();
    host.setPointerCapture(event.pointerId);
    held.set(event.pointerId, at(event));
    dragged = false;
    if (held.size === 1 && lasso.wanted(event)) lasso.start(at(event));
    else lasso.stop();
  });
  host.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) return;
    const now = at(event);
    if (lasso.on()) return lasso.move(now);
    if (!dragged && held.size === 1 && Math.hypot(now[0] - before[0], now[1] - before[1]) < 4) return undefined; // a click that trembles
    dragged = true;
    host.classList.add("moving");
    if (held.size === 1) camera.pan(now[0] - before[0], now[1] - before[1]);
    if (held.size === 2) pinch(camera, [...held].find(([id]) => id !== event.pointerId)[1], before, now);
    held.set(event.pointerId, now);
    change();
    return undefined;
  });
  const release = (event) => {
    const there = held.delete(event.pointerId);
    host.classList.remove("moving");
    if (lasso.on()) return lasso.end();
    if (there && !dragged && event.type === "pointerup") tap(at(event));
    return undefined;
  };
  host.addEventListener("pointerup", release);
  host.addEventListener("pointercancel", release);
  host.addEventListener("dblclick", (event) => {
    if (event.target.closest("button, a")) return;
    const [x, y] = camera.toMap(...at(event));
    fly({ x, y, scale: camera.scale * STEP * STEP });
  });
  host.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== host) return;
    const far = event.shiftKey ? 4 : 1;
    const moves = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (moves) land();
    if (moves) camera.pan(moves[0] * KEY_PIXELS * far, moves[1] * KEY_PIXELS * far);
    else if (event.key === "+" || event.key === "=") return step(STEP);
    else if (event.key === "-") return step(1 / STEP);
    else if (event.key === "0" || event.key === "Home") return fly(camera.whole());
    else return undefined;
    event.preventDefault();
    return change();
  });
  return { fly, step };
}

/** Two fingers: one rests at `other`, one moves from `before` to `now`. */
function pinch(camera, other, before, now) {
  const middle = (one) => [(one[0] + other[0]) / 2, (one[1] + other[1]) / 2];
  const apart = (one) => Math.max(20, Math.hypot(one[0] - other[0], one[1] - other[1]));
  camera.pan(middle(now)[0] - middle(before)[0], middle(now)[1] - middle(before)[1]);
  camera.zoom(apart(now) / apart(before), ...middle(now));
}
