// Beside the map: what colours mean, and a list: regions, the hits of a search, or what was selected. All of the map that one
// cannot see or point at is here too.

import { el, number, plural, save } from "./dom.js";
import { drawable } from "./glyphs.js";
import { css } from "./map_colours.js";
import { SCORE } from "./map_scores.js";

const LISTED = 60;
const TITLES = { [SCORE]: "score of the search" };

export class Panel {
  constructor(view) {
    this.view = view;
    const { map, source } = view;
    this.status = el("p", { class: "map-status", role: "status" });
    this.where = el("p", { class: "map-where", "aria-live": "polite" });
    this.choice = el("select", { onchange: () => this.recolour() }, ...["kind", ...Object.keys(map.columns), ...(source.scores ? [SCORE] : [])].map((name) => el("option", { value: name }, TITLES[name] ?? name)));
    this.key = el("ul", { class: "map-legend", "aria-label": "Colours" });
    this.note = el("p", { class: "map-note" });
    this.list = el("section", { class: "map-list" });
    const lost = Object.entries(map.unreadable ?? {});
    const count = lost.reduce((sum, [, one]) => sum + one, 0);
    const missing = count ? el("details", { class: "map-lost" }, el("summary", {}, `${plural(count, "picture")} could not be read and ${count === 1 ? "is" : "are"} not on the map`),
      el("ul", {}, ...lost.map(([why, one]) => el("li", {}, `${why}: ${number(one)}`)))) : null;
    const find = source.land && view.options.searches ? el("form", { class: "map-find", onsubmit: (event) => this.find(event) },
      this.words = el("input", { type: "search", "aria-label": "Find on the map", placeholder: "Find on the map", autocomplete: "off" })) : null;
    const part = map.shown ? el("p", { class: "map-part" }, `${number(map.shown)} of ${number(map.whole)} points are in this file.`) : null;
    this.root = el("aside", { class: "map-panel", "aria-label": "About the map" }, el("h2", {}, view.title), part, find, this.where, this.status,
      el("label", { class: "map-colour" }, "Colour by ", this.choice), this.note, this.key, missing, this.list);
    view.root.append(this.root);
    this.regions();
  }

  async find(event) {
    event.preventDefault();
    const words = this.words.value.trim();
    if (!words) return void this.view.unlight();
    try {
      await this.view.land({ text: words, words });
    } catch (error) {
      this.say(error.message);
    }
    return undefined;
  }

  say(text) {
    this.status.textContent = text;
  }

  /** What is in view, for those who cannot see it: the region in the middle. */
  describe() {
    const { camera, map } = this.view, levels = map.regions;
    const level = levels[Math.min(Math.max(Math.round(Math.log2(camera.scale / camera.home)), 0), levels.length - 1)] ?? [];
    const far = (one) => Math.hypot(one.x - camera.x, one.y - camera.y);
    const nearest = level.filter((one) => one.name).reduce((best, one) => (!best || far(one) < far(best) ? one : best), null);
    this.where.textContent = nearest ? `Around “${drawable(nearest.name)}”` : "";
  }

  recolour() {
    this.view.colour(this.choice.value);
    this.view.rest();
  }

  legend() {
    const { view } = this;
    this.choice.value = view.colouredBy;
    this.note.textContent = view.colouring.note ?? "";
    this.key.replaceChildren(...view.colouring.legend.map(({ label, colour, colours, from, to }, at) => {
      const mark = el("i", {});
      mark.style.background = colours ? `linear-gradient(90deg, ${colours.map(css).join()})` : css(colour);
      if (colours) return el("li", { class: "map-scale" }, el("span", {}, label), el("small", {}, from), mark, el("small", {}, to));
      if (view.colouredBy !== "kind" || view.kinds.length < 2) return el("li", {}, mark, label);
      const kind = view.kinds[at], box = el("input", { type: "checkbox", onchange: () => view.toggleKind(kind) });
      box.checked = !view.off.has(kind);
      return el("li", {}, el("label", {}, box, mark, `${label} `, el("small", {}, number(view.map.rows[kind]))));
    }));
  }

  /** The names of regions, each a way there. */
  regions() {
    const { view } = this, level = view.map.regions.slice(0, 2).at(-1) ?? [], named = level.filter((one) => one.name);
    const ways = named.map((one) => el("li", {}, el("button", { type: "button", title: one.also?.join(", "), onclick: () => view.hand.fly({ x: one.x, y: one.y, scale: 3.2 * view.camera.home }) },
      one.name, el("small", {}, `${Math.max(1, Math.round(100 * one.share))} %`))));
    this.list.replaceChildren(...(ways.length ? [el("h3", {}, "Regions"), el("ul", { class: "map-regions" }, ...ways)] : []));
  }

  hits(words, found) {
    const off = found.hits.filter((hit) => hit.x === null).length;
    const note = off ? ` ${number(off)} of them ${off === 1 ? "is" : "are"} not on the map.` : "";
    this.say(found.hits.length ? `The nearest ${number(found.hits.length)} are lit.${note}` : "Nothing is lit: no hit of it is on the map.");
    const places = new Map(found.hits.map((hit) => [hit.record_id, hit]));
    const rows = found.best.map((hit) => this.item({ ...hit, ...places.get(hit.record.record_id), kind: found.kind }, hit.score.toFixed(3)));
    const clear = el("button", { type: "button", onclick: () => this.view.options.cleared?.() ?? this.view.unlight() }, "Clear");
    this.list.replaceChildren(el("h3", {}, `Hits for “${words}”`), el("p", { class: "map-ways" }, clear), el("ul", { class: "map-items" }, ...rows));
  }

  /** @param {{count: number, points: object[]}} found; @param {string} where inside, or in view */
  selection({ count, points }, where) {
    const { view } = this, save = (format) => this.save(format);
    this.count = count;
    this.say(`${plural(count, "point")} ${where}.`);
    const rows = points.slice(0, LISTED).map((one) => this.item({ ...one, title: one.text || (one.uri ?? "").split("::")[0].split("/").pop(), record: one }, ""));
    const more = count > rows.length ? el("p", {}, `and ${number(count - rows.length)} more`) : null;
    this.list.replaceChildren(...[el("h3", {}, `${plural(count, "point")} ${where}`), count ? el("p", { class: "map-ways" },
      el("button", { type: "button", onclick: () => save("csv") }, "Save as CSV"), el("button", { type: "button", onclick: () => save("json") }, "Save as JSON"),
      ...(view.options.tags?.(points) ?? []), el("button", { type: "button", onclick: () => view.clearSelection() }, "Clear")) : null, el("ul", { class: "map-items" }, ...rows), more].filter(Boolean));
    view.options.selected?.({ count, points });
  }

  item(hit, score) {
    const { view } = this, picture = view.source.picture(hit);
    const go = () => hit.x !== null && view.hand.fly({ x: hit.x, y: hit.y, scale: Math.max(view.camera.scale, 4 * view.camera.home) });
    return el("li", {}, el("button", { type: "button", onclick: go, title: hit.x === null ? "Not on the map" : "Show on the map" },
      picture ? el("img", { src: picture, alt: "", loading: "lazy" }) : el("i", {}), el("span", {}, hit.title || "No title"), score ? el("small", {}, score) : null));
  }

  async save(format) {
    try {
      const { data, most } = await this.view.source.save(this.view.polygon, this.view.shownKind(), format);
      save(`selection.${format}`, data);
      if (this.count > most) this.say(`The first ${number(most)} of ${number(this.count)} points were saved.`);
    } catch (error) {
      this.say(error.message);
    }
  }
}
