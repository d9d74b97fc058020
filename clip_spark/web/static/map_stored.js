// A map that is all here: in a page that opens from a disk, or in a notebook. See analysis/map/stored.py for the format.

import { readArrow, valueOf } from "./map_arrow.js";
import { el } from "./dom.js";
import { CELL, SHEET } from "./map_gl.js";
import { MapView } from "./map.js";
import { csvOf } from "./table.js";

const MOST = 200_000; // the points of a file are no more

/** @param {BufferSource} packed; @param {(query: object) => Promise<object>} [land] who places texts, if anybody does */
export async function openStored(packed, land) {
  const plain = new Response(packed).body.pipeThrough(new DecompressionStream("gzip"));
  const data = await new Response(plain).arrayBuffer();
  const length = new DataView(data).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  return { map: head.map, source: new StoredMap(head, data, Math.ceil((4 + length) / 8) * 8, land) };
}

/** Fill an element with the map in a text of base64. */
export async function showStored(host, text) {
  try {
    const packed = await (await fetch(`data:application/octet-stream;base64,${text.trim()}`)).arrayBuffer();
    const { map, source } = await openStored(packed);
    const place = new URLSearchParams(location.hash.slice(1));
    const changed = ({ at, colour }) => history.replaceState(null, "", `#${new URLSearchParams({ at, colour })}`);
    return new MapView(host, map, source, { at: place.get("at"), colour: place.get("colour"), changed, actions: (point) => source.ways(point) });
  } catch (error) {
    host.replaceChildren(el("p", { role: "alert" }, `The map cannot be shown: ${error.message}`));
    return null;
  }
}

class StoredMap {
  constructor({ map, files, sheets }, data, start, land) {
    this.map = map;
    this.files = files;
    this.data = data;
    this.start = start;
    if (land) this.land = land;
    this.cells = new Map(sheets.flatMap((names, sheet) => names.map((name, at) => [name, { sheet, at }])));
    if (!sheets.length) this.sheet = null;
    this.images = new Map();
    this.records = new Map();
  }

  file(name) {
    const [offset, length] = this.files[name];
    return this.data.slice(this.start + offset, this.start + offset + length);
  }

  async tile(name) {
    return this.file(name);
  }

  record(tile, row) {
    if (!this.records.has(tile)) this.records.set(tile, readArrow(this.file(`records/${tile}`)).columns);
    const of = (name) => valueOf(this.records.get(tile).get(name), row);
    return { record_id: of("record_id"), title: of("title"), link: of("link"), kind: tile.split("-")[0] };
  }

  async points(names) {
    return Promise.all(names.map(async (name) => {
      const at = name.lastIndexOf("."), { record_id, title, link, kind } = this.record(name.slice(0, at), Number(name.slice(at + 1)));
      return { title, link, kind, record: { record_id }, picture: await this.cut(name) };
    }));
  }

  image(sheet) {
    if (!this.images.has(sheet)) this.images.set(sheet, createImageBitmap(new Blob([this.file(`sheets/${sheet}`)], { type: "image/webp" })));
    return this.images.get(sheet);
  }

  async draw(pen, name, left, top) {
    const cell = this.cells.get(name);
    if (!cell) return false;
    const image = await this.image(cell.sheet), from = [(cell.at % SHEET) * CELL, Math.floor(cell.at / SHEET) * CELL];
    pen.drawImage(image, ...from, CELL, CELL, left, top, CELL, CELL);
    return true;
  }

  /** The picture of a point as an address; null where it is not among those that came along. */
  async cut(name) {
    const canvas = Object.assign(document.createElement("canvas"), { width: CELL, height: CELL });
    return (await this.draw(canvas.getContext("2d"), name, 0, 0)) ? canvas.toDataURL() : null;
  }

  async sheet(names) {
    const canvas = new OffscreenCanvas(SHEET * CELL, SHEET * CELL), pen = canvas.getContext("2d");
    await Promise.all(names.map((name, at) => this.draw(pen, name, (at % SHEET) * CELL, Math.floor(at / SHEET) * CELL)));
    return canvas.transferToImageBitmap();
  }

  picture({ picture }) {
    return picture ?? null;
  }

  ways({ link }) {
    return link ? [el("a", { href: link, target: "_blank", rel: "noreferrer" }, "Original")] : [];
  }

  /** All points in a polygon, coarse tiles first. */
  *hits(polygon, kind) {
    const [left, low, whole] = this.map.square;
    for (const tile of Object.keys(this.map.tiles)) {
      const [own, ...numbers] = tile.split("-"), [zoom, column, row] = numbers.map(Number), side = whole / 2 ** zoom;
      if (kind && own !== kind) continue;
      const { rows, columns } = readArrow(this.file(tile)), [across, up] = ["x", "y"].map((name) => columns.get(name).values);
      for (let at = 0; at < rows; at++) {
        const x = left + (column + across[at] / 65536) * side, y = low + (row + up[at] / 65536) * side;
        if (isInside(polygon, x, y)) yield { tile, at, x, y };
      }
    }
  }

  async inside(polygon, kind) {
    const points = [...this.hits(polygon, kind)].map(({ tile, at, x, y }) => {
      const { record_id, title, link, kind: own } = this.record(tile, at);
      return { record_id, kind: own, x, y, text: title, uri: link };
    });
    return { count: points.length, points };
  }

  async save(polygon, kind, format) {
    const { count, points } = await this.inside(polygon, kind);
    return { data: new Blob([format === "csv" ? csvOf(points) : JSON.stringify({ count, points })]), most: MOST };
  }
}

/** Even-odd. */
function isInside(corners, x, y) {
  let found = false;
  for (let at = 0, last = corners.length - 1; at < corners.length; last = at++) {
    const [x0, y0] = corners[at], [x1, y1] = corners[last];
    if (y0 > y !== y1 > y && x < ((x1 - x0) * (y - y0)) / (y1 - y0) + x0) found = !found;
  }
  return found;
}
