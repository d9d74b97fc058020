// The card of a point: under the pointer for a moment, or opened by a click or Enter, and then with ways on from it.

import { el, icon } from "./dom.js";

const WAIT_MS = 70, KNOWN = 1000, MOST_COLUMNS = 4;
const HIDDEN = new Set(["record_id", "kind", "text", "caption", "uri", "offset", "size", "metadata", "parent_id", "width", "height", "bytes"]);
const CROSS = ["M6 6l12 12", "M18 6L6 18"];

export class Card {
  constructor(view) {
    this.view = view;
    this.known = new Map(); // point -> record, of those looked at last
    this.box = el("div", { class: "map-card", hidden: "" });
    view.ground.append(this.box);
    view.ground.addEventListener("keydown", (event) => event.key === "Escape" && this.open && this.hide(true));
    this.open = false;
    this.point = null;
  }

  hover(event) {
    if (this.open || event.pointerType === "touch" || event.buttons) return;
    const box = this.view.stage.getBoundingClientRect();
    const point = this.view.at([event.clientX - box.left, event.clientY - box.top]);
    this.view.stage.classList.toggle("pointing", Boolean(point));
    if (point?.name === this.point?.name) return;
    clearTimeout(this.waiting);
    if (!point) return void this.hide();
    this.point = point;
    this.waiting = setTimeout(() => this.show(point, false), this.known.has(point.name) ? 0 : WAIT_MS);
  }

  leave() {
    if (this.open) return;
    clearTimeout(this.waiting);
    this.hide();
  }

  /** Open what is at some pixels; closes what is open where nothing is. */
  tap(at, within) {
    const point = this.view.at(at, within);
    if (!point) return void this.hide();
    this.point = point;
    this.view.stage.classList.remove("pointing");
    return void this.show(point, true);
  }

  async show(point, open) {
    this.open = open;
    let found = this.known.get(point.name);
    if (found === undefined) {
      try {
        [found] = await this.view.source.points([point.name]);
      } catch (error) {
        return void this.view.panel.say(error.message);
      }
      this.known.set(point.name, found);
      if (this.known.size > KNOWN) this.known.delete(this.known.keys().next().value);
    }
    if (this.point !== point) return; // the pointer has gone on
    this.fill(found, open);
    this.box.hidden = false;
    this.follow();
    if (open) this.box.querySelector("a, button")?.focus({ preventScroll: true });
  }

  fill(found, open) {
    const picture = found && this.view.source.picture(found);
    const image = picture ? el("img", { src: picture, alt: "" }) : null;
    image?.addEventListener("error", () => image.replaceWith(el("p", { class: "gone" }, "The picture cannot be shown")));
    const words = found ? found.title || "No title" : "This record was taken down";
    const close = open ? el("button", { type: "button", class: "map-close", "aria-label": "Close", onclick: () => this.hide(true) }, icon(...CROSS)) : null;
    const ways = open && found ? el("p", { class: "map-ways" }, ...(this.view.options.actions?.(found) ?? [])) : null;
    this.box.className = open ? "map-card open" : "map-card";
    this.box.toggleAttribute("role", false);
    if (open) this.box.setAttribute("role", "group");
    this.box.setAttribute("aria-label", words);
    this.box.replaceChildren(...[image, el("strong", {}, words), this.facts(found, this.view.scores.value(this.point.tile, this.point.at)), ways, close].filter(Boolean));
  }

  facts(found, score) {
    const rows = score === null ? [] : [["similarity", score.toFixed(3)]];
    rows.push(...Object.entries(found?.record ?? {}).filter(([name, value]) => !HIDDEN.has(name) && value !== null && value !== "" && typeof value !== "object"));
    return rows.length ? el("dl", {}, ...rows.slice(0, MOST_COLUMNS).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))])) : null;
  }

  hide(back = false) {
    this.open = false;
    this.point = null;
    this.box.hidden = true;
    this.view.stage.classList.remove("pointing");
    if (back) this.view.stage.focus({ preventScroll: true });
  }

  /** Beside its point, inside of the map. */
  follow() {
    if (this.box.hidden || !this.point) return;
    const { camera } = this.view, [left, top] = camera.toScreen(...this.point.place);
    const { offsetWidth: wide, offsetHeight: high } = this.box;
    const right = left + 16 + wide < camera.width ? left + 16 : left - 16 - wide;
    const at = [Math.min(Math.max(right, 6), camera.width - wide - 6), Math.min(Math.max(top - high / 2, 6), camera.height - high - 6)];
    this.box.style.transform = `translate(${Math.round(at[0])}px, ${Math.round(at[1])}px)`;
  }
}
