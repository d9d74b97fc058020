// A map in an element: drawing, moving, pointing at things, searching and selecting. It knows neither the page nor the
// server: a source gives it tiles, records and pictures (map_source.js asks a server, map_stored.js has all in memory).

import { el, icon, plural } from "./dom.js";
import { Camera, watchGestures } from "./map_camera.js";
import { byColumn, byKind, byScore, ramp, resolved } from "./map_colours.js";
import { FlatPainter } from "./map_flat.js";
import { Painter } from "./map_gl.js";
import { Lasso } from "./map_lasso.js";
import { Names, shape, Trail } from "./map_names.js";
import { Panel } from "./map_panel.js";
import { SCORE, Scores } from "./map_scores.js";
import { Card } from "./map_card.js";
import { Sprites, SIZE } from "./map_sprites.js";
import { Tiles } from "./map_tiles.js";

/** Pixels of a tile, from the most points to the fewest: software that draws slowly gets fewer. */
const WIDTHS = [256, 362, 512, 724, 1024];
const SLOW_MS = 42, QUICK_MS = 14, JUDGED = 8;
const FEW = 12_000; // so few points are not what takes the time
const THUMBS_FROM = 1.9; // zoom from which pictures are shown
const NEAR_PIXELS = 12, STILL_MS = 150;
const LEAST_LIT = 30, MOST_LIT = 400, LIT_SHARE = 0.02; // hits of a search: a fiftieth of the points
const STRENGTH = { image: 0.85, text: 0.6 }, DIM = 0.22;
const KINDS = ["text", "image"]; // in the order of drawing

const ICONS = {
  in: ["M12 5v14", "M5 12h14"], out: ["M5 12h14"], whole: ["M4 9V4h5", "M20 9V4h-5", "M4 15v5h5", "M20 15v5h-5"],
  lasso: ["M12 4c5 0 9 2.500 9 6s-4 6-9 6-9-2.500-9-6 4-6 9-6z", "M7 15c-2 1-2 3 0 4s2 2 1 3"],
  thumbs: ["M4 4h7v7H4z", "M13 4h7v7h-7z", "M4 13h7v7H4z", "M13 13h7v7h-7z"], list: ["M8 6h12", "M8 12h12", "M8 18h12", "M4 6h.1", "M4 12h.1", "M4 18h.1"],
};

/** A canvas, and what draws on it: made while the map is on its way, for a browser takes its time. */
export function newDrawing() {
  const canvas = el("canvas", { "aria-hidden": "true" });
  return { canvas, painter: Painter.of(canvas) ?? new FlatPainter(canvas) };
}

export class MapView {
  /**
   * @param {HTMLElement} host is filled with the map
   * @param {object} map what the source says of it: square, view, deepest, rows, columns, tiles, regions, unreadable
   * @param {object} source see map_source.js
   * @param {{changed?: (state: {at: string, colour: string}) => void, actions?: (point) => Node[], tags?: (points) => Node[], cleared?: () => void,
   *   selected?: (found: {count: number, points: object[]}) => void, searches?: boolean, at?: string, colour?: string, drawing?: ReturnType<typeof newDrawing>}} options
   */
  constructor(host, map, source, options = {}) {
    this.host = host;
    this.map = map;
    this.source = source;
    this.options = options;
    this.kinds = KINDS.filter((kind) => map.rows[kind]);
    this.off = new Set();
    this.lit = Object.assign([], { kind: "" }); // hits of a search, the best last, and their kind
    this.width = 1;
    this.frames = [];
    this.build();
    this.camera = new Camera(map);
    this.tiles = new Tiles(map, source, { came: (tile) => this.came(tile), went: (tile) => this.painter.drop(tile), failed: (error) => this.panel.say(error.message) });
    this.scores = new Scores(source, { came: (tile) => this.scored(tile), failed: (error) => this.panel.say(error.message) });
    this.names = new Names(this.words, map.regions);
    this.trail = new Trail(this.landed, this.lines);
    this.lasso = new Lasso(this, this.lines);
    this.card = new Card(this);
    this.panel = new Panel(this);
    this.hand = watchGestures(this.stage, this.camera, { moved: () => this.moved(), rest: () => this.rest(), lasso: this.lasso, tap: (at) => this.card.tap(at) });
    this.begin();
  }

  build() {
    const button = (name, label, onclick, pressed) => el("button", { type: "button", "aria-label": label, title: label, onclick, "aria-pressed": pressed }, icon(...ICONS[name]));
    const { canvas, painter } = this.options.drawing ?? newDrawing();
    this.canvas = canvas;
    this.painter = painter;
    this.lines = shape("svg", { class: "map-lines", "aria-hidden": "true" });
    this.words = el("div", { class: "map-names", "aria-hidden": "true" });
    this.landed = el("div", { class: "map-landed", "aria-hidden": "true" });
    const what = this.kinds.map((kind) => plural(this.map.rows[kind], kind === "image" ? "picture" : "text")).reverse().join(" and ");
    this.title = `Map of ${what}`;
    this.stage = el("div", { class: "map-stage", tabindex: 0, role: "application", "aria-label": `${this.title}. Arrow keys move, plus and minus zoom, 0 shows all, Enter opens what is in the middle, L lists what is in view.` },
      this.canvas, this.words, this.landed, el("i", { class: "map-cross" }));
    this.stage.append(this.lines);
    this.lassoButton = button("lasso", "Select with a lasso", () => this.lasso.arm(), "false");
    this.thumbsButton = button("thumbs", "Show pictures", () => this.toggleThumbs(), "true");
    this.tools = el("div", { class: "map-tools", role: "toolbar", "aria-label": "Map" },
      button("in", "Zoom in", () => this.hand.step(1.6)), button("out", "Zoom out", () => this.hand.step(1 / 1.6)),
      button("whole", "Show all", () => this.hand.fly(this.camera.whole())), this.lassoButton,
      button("list", "List what is in view", () => this.selectView()), this.kinds.includes("image") && this.source.sheet ? this.thumbsButton : null);
    this.ground = el("div", { class: "map-ground" }, this.stage, this.tools);
    this.root = el("div", { class: "clip-map" }, this.ground);
    this.root.mapView = this;
    this.host.replaceChildren(this.root);
  }

  begin() {
    this.sprites = new Sprites(this.source, this.painter, () => this.dirty());
    this.thumbs = Boolean(this.source.sheet);
    this.canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    this.canvas.addEventListener("webglcontextrestored", () => this.restore());
    this.stage.addEventListener("pointermove", (event) => this.card.hover(event));
    this.stage.addEventListener("pointerleave", () => this.card.leave());
    this.stage.addEventListener("keydown", (event) => this.key(event));
    this.theme = () => this.colour(this.colouredBy);
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", this.theme);
    this.watched = new MutationObserver(this.theme);
    this.watched.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.stage);
    this.resize();
    this.camera.fromText(this.options.at);
    this.colour(this.options.colour || "kind");
    this.rest();
  }

  /** Let go of everything. */
  close() {
    this.sizes.disconnect();
    this.watched.disconnect();
    this.dark.removeEventListener("change", this.theme);
    if ("gl" in this.painter) this.painter.gl.getExtension("WEBGL_lose_context")?.loseContext();
    this.closed = true;
    this.host.replaceChildren();
  }

  restore() {
    this.painter.begin();
    this.sprites.forget();
    for (const tile of this.tiles.here.values()) this.painter.put(tile, this.colouring.code(tile));
    this.colour(this.colouredBy);
  }

  resize() {
    const { clientWidth, clientHeight } = this.stage;
    if (!clientWidth || !clientHeight) return;
    this.camera.resize(clientWidth, clientHeight);
    this.painter.resize(clientWidth, clientHeight, Math.min(window.devicePixelRatio || 1, 2));
    this.moved();
    this.rest();
  }

  key(event) {
    if (event.target !== this.stage || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter") this.card.tap([this.camera.width / 2, this.camera.height / 2], 60);
    else if (event.key === "l" || event.key === "L") this.selectView();
    else if (event.key === "Escape") this.escape();
    else return;
    event.preventDefault();
  }

  escape() {
    this.card.hide();
    this.lasso.stop();
    this.clearSelection();
  }

  /** The kinds that are not switched off. */
  get shownKinds() {
    return this.kinds.filter((kind) => !this.off.has(kind));
  }

  came(tile) {
    if (this.colouredBy !== "kind" && tile.zoom === 0) this.colour(this.colouredBy); // the sample that says what colours mean
    this.painter.put(tile, this.colouring.code(tile));
    this.dirty();
    this.stillSoon();
  }

  /** The scores of a tile are here. */
  scored(tile) {
    if (this.colouredBy !== SCORE) return;
    if (tile.zoom === 0) this.colour(SCORE);
    else this.painter.put(tile, this.colouring.code(tile));
    this.dirty();
  }

  /** Colour by `kind`, by a column, or by the scores of a search. */
  colour(by) {
    this.colouredBy = by in this.map.columns || (by === SCORE && this.source.scores) ? by : "kind";
    this.edge = resolved(this.stage, "--map-edge");
    this.colouring = this.colouringOf(this.kinds.map((kind) => this.tiles.here.get(`${kind}-0-0-0`)).filter(Boolean));
    for (const tile of this.tiles.here.values()) this.painter.put(tile, this.colouring.code(tile));
    this.shade = resolved(this.stage, "--map-white");
    this.emphasise();
    this.panel.legend();
  }

  /** @param {object[]} sample of the points: the coarsest tile of each kind */
  colouringOf(sample) {
    if (this.colouredBy !== SCORE) return this.colouredBy === "kind" ? byKind(this.stage, this.kinds) : byColumn(this.colouredBy, sample);
    if (!this.scores.asked) return { ...byKind(this.stage, this.kinds), note: "Search for something: each point gets the colour of how near it is." };
    const dark = this.edge.reduce((sum, band) => sum + band) < 384;
    return byScore((tile) => this.scores.get(tile), sample, { [this.lit.kind]: this.lit.at(-1)?.score }, dark);
  }

  /** Hits that are lit make all else faint, unless its colours say how near it is. */
  emphasise() {
    const { palette, strengths, of } = this.colouring, faint = this.lit.length && !of ? DIM : 1;
    const usual = (_, at) => faint * (this.colouredBy === "kind" ? STRENGTH[at ? "text" : "image"] : 0.85);
    this.painter.setPalette(palette, strengths ?? palette.map(usual));
    const least = this.lit[0]?.score ?? 0, reach = (this.lit.at(-1)?.score ?? 0) - least || 1;
    for (const hit of this.lit) hit.colour = of ? of(this.lit.kind, hit.score) : ramp(0.25 + (0.75 * (hit.score - least)) / reach);
    this.dirty();
  }

  moved() {
    this.moving = true;
    this.dirty();
  }

  dirty() {
    if (this.due || this.closed) return;
    this.due = true;
    requestAnimationFrame((now) => {
      this.due = false;
      if (!this.closed) this.frame(now);
    });
  }

  frame(now) {
    const { camera } = this, seen = camera.seen();
    const zoom = this.tiles.zoomFor(camera.scale, WIDTHS[this.width]);
    this.seenTiles = this.tiles.look(seen, zoom, this.shownKinds);
    if (this.colouredBy === SCORE) this.scores.ask(this.seenTiles);
    const drawn = this.seenTiles.map((tile) => ({ tile, square: this.tiles.square(tile), ranges: this.tiles.ranges(tile, seen) }));
    this.paint(drawn);
    this.names.follow(camera);
    this.trail.lay(camera);
    this.lasso.lay();
    this.card.follow();
    this.judge(now);
    if (this.moving) this.stillSoon();
  }

  paint(drawn) {
    const { camera, painter } = this;
    const count = drawn.reduce((sum, { ranges }) => sum + ranges.reduce((all, [first, end]) => all + end - first, 0), 0);
    this.pointSize = Math.min(Math.max(0.3 * Math.sqrt((camera.width * camera.height) / Math.max(count, 1)), 1.7), 6.5);
    painter.clear();
    for (const kind of KINDS) painter.drawPoints(camera, drawn.filter(({ tile }) => tile.kind === kind), kind === "text" ? 0.8 * this.pointSize : this.pointSize);
    if (this.thumbsShown) painter.drawSprites(camera, this.sprites.ready(), SIZE, this.shade);
    painter.drawLit(camera, this.lit, Math.max(9, 1.6 * this.pointSize), this.edge);
    this.drawnPoints = count;
  }

  get thumbsShown() {
    return this.thumbs && !this.off.has("image") && this.camera.scale >= THUMBS_FROM * this.camera.home;
  }

  /** While something moves, the time between frames says how many points this machine can draw. */
  judge(now) {
    if (this.moving && this.before) this.frames.push(now - this.before);
    this.before = this.moving ? now : 0;
    if (this.frames.length < JUDGED) return;
    const usual = this.frames.sort((one, other) => one - other)[JUDGED >> 1];
    this.frames = [];
    if (usual > SLOW_MS && this.drawnPoints > FEW) this.width = Math.min(this.width + 1, WIDTHS.length - 1);
    else if (usual < QUICK_MS && this.drawnPoints > 20_000) this.width = Math.max(this.width - 1, 0);
  }

  /** Pictures and words are chosen anew now and then, not in every frame. */
  stillSoon() {
    if (this.stilling) return;
    this.stilling = setTimeout(() => {
      this.stilling = 0;
      if (!this.closed) this.still();
    }, STILL_MS);
  }

  still() {
    if (this.thumbsShown) this.sprites.choose(this.candidates(), this.camera.scale);
    this.names.lay(this.camera, this.trail.lay(this.camera));
    this.dirty();
  }

  /** Pictures in view, a fair sample of each tile first. */
  *candidates() {
    const margin = SIZE / this.camera.scale, [x0, y0, x1, y1] = this.camera.seen();
    const seen = [x0 - margin, y0 - margin, x1 + margin, y1 + margin];
    for (const tile of this.seenTiles ?? []) {
      if (tile.kind !== "image") continue;
      const found = this.tiles.ranges(tile, seen).flatMap(([first, end]) => Array.from({ length: end - first }, (_, at) => first + at));
      found.sort((one, other) => tile.rows[one] - tile.rows[other]);
      for (const at of found) {
        const [x, y] = this.tiles.place(tile, at);
        if (x > seen[0] && x < seen[2] && y > seen[1] && y < seen[3]) yield { name: `${tile.name}.${tile.rows[at]}`, x, y };
      }
    }
  }

  rest() {
    this.moving = false;
    this.frames = [];
    this.still();
    this.panel.describe();
    this.options.changed?.({ at: this.camera.toText(), colour: this.colouredBy });
  }

  toggleThumbs() {
    this.thumbs = !this.thumbs;
    this.thumbsButton.setAttribute("aria-pressed", String(this.thumbs));
    this.still();
  }

  toggleKind(kind) {
    if (!this.off.delete(kind)) this.off.add(kind);
    this.still();
  }

  /** The point under some pixels of the stage, or null. */
  at([left, top], within = NEAR_PIXELS) {
    return this.tiles.nearest(this.seenTiles ?? [], this.camera.toMap(left, top), within / this.camera.scale);
  }

  /**
   * A query lands: it is marked where it belongs, its hits are lit, and the map shows both.
   * @param {{words: string, stay?: boolean}} query what the source understands, and what it is called
   */
  async land(query, signal) {
    this.panel.say(`Searching for ${query.words} …`);
    const points = Object.values(this.map.rows).reduce((sum, count) => sum + count, 0);
    const k = Math.min(Math.max(Math.round(LIT_SHARE * points), LEAST_LIT), MOST_LIT, this.map.max_k ?? MOST_LIT);
    const found = await this.source.land({ ...query, k }, signal).finally(() => this.panel.say(""));
    const words = found.query?.title || query.words;
    this.trail.add({ words, x: found.x, y: found.y });
    this.lit = Object.assign(found.hits.filter((hit) => hit.x !== null).reverse(), { kind: found.kind });
    this.scores.of(found.asked ?? null);
    if (this.colouredBy === SCORE) this.colour(SCORE);
    this.emphasise();
    this.panel.hits(words, found);
    if (!query.stay) this.show(found);
    this.still();
    return found;
  }

  /** Move so that a landing and its best hits are in view, no nearer than now where they are already. */
  show({ x, y, hits }) {
    const near = hits.slice(0, 40).filter((hit) => hit.x !== null).map((hit) => Math.hypot(hit.x - x, hit.y - y)).sort((one, other) => one - other);
    const reach = Math.max(near[Math.floor(near.length / 2)] ?? 0, 60 / this.camera.scale);
    const scale = Math.min((0.3 * Math.min(this.camera.width, this.camera.height)) / reach, 6 * this.camera.home);
    this.hand.fly({ x, y, scale: Math.max(scale, this.camera.home) });
  }

  /** No search any more; the trail stays. */
  unlight() {
    this.lit = Object.assign([], { kind: "" });
    this.scores.of(null);
    if (this.colouredBy === SCORE) this.colour(SCORE);
    this.emphasise();
    this.panel.regions();
  }

  selectView() {
    const [x0, y0, x1, y1] = this.camera.seen();
    this.select([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], "in view");
  }

  /** List what lies inside of a polygon. */
  async select(polygon, where = "inside") {
    this.polygon = polygon;
    this.panel.say("Looking …");
    try {
      this.panel.selection(await this.source.inside(polygon, this.shownKind()), where);
    } catch (error) {
      this.panel.say(error.message);
    }
    this.dirty();
  }

  /** For a source: empty is both. */
  shownKind() {
    return this.shownKinds.length === 1 && this.kinds.length > 1 ? this.shownKinds[0] : "";
  }

  clearSelection() {
    if (!this.polygon) return;
    this.polygon = null;
    this.panel.regions();
    this.dirty();
  }
}
