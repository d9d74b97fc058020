// Draws as map_gl.js does, on a plain canvas, where a browser has no WebGL2: pixels are set one by one, with no blending.

import { CELL, SHEET } from "./map_gl.js";

export class FlatPainter {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    if (!this.pen) throw new Error("This browser draws on no canvas. The lists beside the map work without.");
    this.begin();
  }

  begin() {
    this.codes = new Map();
    this.sheets = [];
    this.palette = new Uint32Array(256);
  }

  putSheet(place, image) {
    const kept = Object.assign(document.createElement("canvas"), { width: SHEET * CELL, height: SHEET * CELL });
    kept.getContext("2d").drawImage(image, 0, 0);
    this.sheets[place] = kept;
  }

  cell(place, at) {
    return [place, (at % SHEET) * CELL, Math.floor(at / SHEET) * CELL];
  }

  setPalette(colours, strengths) {
    const bytes = new Uint8Array(this.palette.buffer);
    bytes.fill(0);
    colours.forEach((colour, at) => bytes.set([...colour, Math.round(255 * strengths[at])], 4 * at));
  }

  put(tile, codes) {
    this.codes.set(tile.name, codes);
  }

  drop(tile) {
    this.codes.delete(tile.name);
  }

  resize(width, height, ratio) {
    this.ratio = ratio;
    [this.canvas.width, this.canvas.height] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
    this.sheet = this.pen.createImageData(this.canvas.width, this.canvas.height);
    this.pixels = new Uint32Array(this.sheet.data.buffer);
  }

  clear() {
    this.pixels.fill(0);
  }

  drawPoints(camera, drawn, size) {
    const { pixels, palette, ratio, canvas: { width, height } } = this;
    const side = Math.max(1, Math.round(size * ratio)), scale = camera.scale * ratio, disc = discOf(side);
    for (const { tile, square: [x, y, own], ranges } of drawn) {
      const codes = this.codes.get(tile.name), unit = (own / 65536) * scale;
      const left = width / 2 + (x - camera.x) * scale - side / 2, top = height / 2 - (y - camera.y) * scale - side / 2;
      for (const [first, end] of codes ? ranges : []) {
        for (let at = first; at < end; at++) {
          const across = Math.round(left + tile.places[2 * at] * unit), down = Math.round(top - tile.places[2 * at + 1] * unit);
          if (across < 0 || down < 0 || across + side > width || down + side > height) continue;
          const start = down * width + across, colour = palette[codes[at]];
          for (let row = 0; row < side; row++) pixels.fill(colour, start + row * width + disc[row], start + row * width + side - disc[row]);
        }
      }
    }
    this.wet = true;
  }

  /** Points come to the canvas before what lies on top of them. */
  dry() {
    if (this.wet) this.pen.putImageData(this.sheet, 0, 0);
    this.wet = false;
  }

  drawSprites(camera, pictures, size, shade) {
    this.dry();
    this.pen.filter = `brightness(${shade[0] / 255})`; // no browser minds where it does not know filters
    for (const { x, y, cell: [place, left, top] } of pictures) {
      const [across, down] = camera.toScreen(x, y).map((value) => (value - size / 2) * this.ratio);
      this.pen.drawImage(this.sheets[place], left, top, CELL, CELL, across, down, size * this.ratio, size * this.ratio);
    }
    this.pen.filter = "none";
  }

  drawLit(camera, hits, size, edge) {
    this.dry();
    this.pen.lineWidth = 2;
    this.pen.strokeStyle = `rgb(${edge.join(" ")})`;
    for (const { x, y, colour } of hits) {
      const [across, down] = camera.toScreen(x, y).map((value) => value * this.ratio);
      this.pen.fillStyle = `rgb(${colour.join(" ")})`;
      this.pen.beginPath();
      this.pen.arc(across, down, (size * this.ratio) / 2 - 1, 0, 7);
      this.pen.fill();
      this.pen.stroke();
    }
  }
}

/** How much of each row of a square is left free at both ends, so that it looks round. */
function discOf(side) {
  const reach = side / 2;
  return Array.from({ length: side }, (_, row) => {
    const off = row + 0.5 - reach;
    return side < 4 ? 0 : Math.max(0, Math.round(reach - Math.sqrt(reach * reach - off * off)));
  });
}
