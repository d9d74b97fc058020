// Where a map of the server comes from: the routes below `maps/NAME`.

import { ask, send } from "./api.js";

const MOST = 100_000, SHOWN = 200;

/** What the server says of a map, and the source of everything else of it. */
export async function openServed(name, signal) {
  const base = `maps/${encodeURIComponent(name)}`;
  const map = await ask(base, {}, { signal });
  return { map, source: new ServedMap(base, map) };
}

class ServedMap {
  constructor(base, map) {
    this.base = base;
    this.map = map;
  }

  async tile(name, signal) {
    return (await send(`${this.base}/tiles/${name}?version=${this.map.version}`, { signal })).arrayBuffer();
  }

  points(names) {
    return ask(`${this.base}/points`, { points: names.join(","), version: this.map.version });
  }

  async sheet(names) {
    const query = new URLSearchParams({ points: names.join(","), version: this.map.version });
    return createImageBitmap(await (await send(`${this.base}/sprites?${query}`)).blob(), { premultiplyAlpha: "premultiply" });
  }

  /** @param {{words: string, stay?: boolean, image?: string, k?: number, index?: string}} query with what the server understands: text, like, of, image, k */
  async land({ words, stay, ...query }, signal) {
    const { image, k, ...rest } = query;
    const found = await ask(`${this.base}/search`, {}, { method: "POST", body: JSON.stringify({ ...query, vector: Boolean(image) }), signal });
    return { ...found, asked: image ? { index: rest.index, embedding: found.vector } : rest }; // a picture is encoded once
  }

  /** The scores of a tile's points, as an Arrow file; `asked` is what a landing has of its query. */
  async scores(tile, asked, signal) {
    const address = `${this.base}/tiles/${tile}/scores?version=${this.map.version}`;
    return (await send(address, { method: "POST", body: JSON.stringify(asked), signal })).arrayBuffer();
  }

  inside(polygon, kind) {
    return ask(`${this.base}/inside`, {}, { method: "POST", body: JSON.stringify({ polygon, kind, k: SHOWN }) });
  }

  async save(polygon, kind, format) {
    const body = JSON.stringify({ polygon, kind, k: MOST });
    const answer = await send(`${this.base}/inside?format=${format}`, { method: "POST", body });
    return { data: await answer.blob(), most: MOST };
  }

  /** The address of the small picture of a record, null where it has none. */
  picture({ picture, kind, record }) {
    if (picture) return `${picture}&size=256`;
    const home = this.map.homes[kind];
    if (picture === null || kind !== "image" || !home || !record?.record_id) return null;
    return `picture/${encodeURIComponent(record.record_id)}?index=${encodeURIComponent(home)}&size=256`;
  }
}
