// The lasso: a line that is drawn around points, with the button for it or with Shift held.

import { draw, shape } from "./map_names.js";

const MOST_CORNERS = 400, LEAST_PIXELS = 5;

export class Lasso {
  constructor(view, drawing) {
    this.view = view;
    this.line = drawing.appendChild(shape("polygon", { class: "lasso" }));
    this.armed = false;
    this.path = null;
  }

  arm(on = !this.armed) {
    this.armed = on;
    this.view.lassoButton.setAttribute("aria-pressed", String(on));
    this.view.stage.classList.toggle("lassoing", on);
  }

  wanted(event) {
    return this.armed || event.shiftKey;
  }

  on() {
    return Boolean(this.path);
  }

  start(at) {
    this.path = [at];
    this.view.card.hide();
  }

  move(at) {
    const [left, top] = this.path.at(-1);
    if (Math.hypot(at[0] - left, at[1] - top) < LEAST_PIXELS) return;
    this.path.push(at);
    this.view.dirty();
  }

  stop() {
    this.path = null;
    this.arm(false);
  }

  end() {
    const step = Math.ceil(this.path.length / MOST_CORNERS);
    const corners = this.path.filter((_, at) => at % step === 0).map((at) => this.view.camera.toMap(...at));
    this.stop();
    if (corners.length > 2) this.view.select(corners);
    else this.view.clearSelection();
  }

  /** Draw what is being drawn, or what was selected. */
  lay() {
    const pixels = this.path ?? this.view.polygon?.map((place) => this.view.camera.toScreen(...place)) ?? [];
    draw(this.line, pixels);
  }
}
