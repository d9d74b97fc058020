// Reads an Arrow file of one uncompressed record batch, as the tiles of a map are. Columns of types that a map has no use for
// (lists, objects, ...) are skipped.

const SCHEMA = 1, BATCH = 3;
const INT = 2, FLOAT = 3, TEXT = 5, BOOL = 6, DATE = 8, TIMESTAMP = 10, LARGE_TEXT = 20;
/** Buffers of a column by its type; those that are not named have two: which values there are, and the values. */
const BUFFERS = { 1: 0, 4: 3, [TEXT]: 3, 13: 1, 16: 1, 19: 3, [LARGE_TEXT]: 3 };

/** Where the field of a flatbuffers table lies, 0 if it is not there. */
function slot(view, table, number) {
  const sizes = table - view.getInt32(table, true);
  const place = 4 + 2 * number;
  const offset = place < view.getUint16(sizes, true) ? view.getUint16(sizes + place, true) : 0;
  return offset && table + offset;
}
const follow = (view, at) => at + view.getUint32(at, true);
const long = (view, at) => Number(view.getBigInt64(at, true));

/** @returns {number[]} where the tables of a vector of tables lie */
function tables(view, at) {
  if (!at) return [];
  const start = follow(view, at);
  return Array.from({ length: view.getUint32(start, true) }, (_, place) => follow(view, start + 4 + 4 * place));
}

function text(view, at) {
  const start = follow(view, at);
  return new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + start + 4, view.getUint32(start, true)));
}

/** A field of the schema: name, type, how wide it is, whether it has a sign, its children. */
function field(view, at) {
  const kind = view.getUint8(slot(view, at, 2));
  const type = follow(view, slot(view, at, 3));
  const first = slot(view, type, 0), second = slot(view, type, 1);
  return {
    name: text(view, slot(view, at, 0)),
    type: slot(view, at, 4) ? 0 : kind, // 0: by numbers of a dictionary that is elsewhere
    layout: slot(view, at, 4) ? INT : kind,
    bits: kind === INT ? view.getInt32(first, true) : kind === FLOAT ? 16 << (first ? view.getInt16(first, true) : 0) : kind === DATE && first && !view.getInt16(first, true) ? 32 : 64,
    signed: kind !== INT || Boolean(second && view.getUint8(second)),
    children: tables(view, slot(view, at, 5)).map((child) => field(view, child)),
  };
}

const WHOLE = { 8: [Uint8Array, Int8Array], 16: [Uint16Array, Int16Array], 32: [Uint32Array, Int32Array], 64: [BigUint64Array, BigInt64Array] };
const BROKEN = { 32: Float32Array, 64: Float64Array };

/** @param {ArrayBuffer} buffer @returns {{rows: number, columns: Map<string, any>}} */
export function readArrow(buffer) {
  const view = new DataView(buffer);
  let fields = [];
  for (let at = 8; view.getUint32(at, true) === 0xffffffff;) {
    const length = view.getInt32(at + 4, true);
    if (!length) break;
    const message = follow(view, at + 8), kind = view.getUint8(slot(view, message, 1));
    const header = follow(view, slot(view, message, 2)), body = at + 8 + length;
    if (kind === SCHEMA) fields = tables(view, slot(view, header, 1)).map((one) => field(view, one));
    if (kind === BATCH) return batch(buffer, view, header, body, fields);
    const bytes = slot(view, message, 3);
    at = body + (bytes ? long(view, bytes) : 0);
  }
  return { rows: 0, columns: new Map() };
}

function batch(buffer, view, header, body, fields) {
  const rows = slot(view, header, 0) ? long(view, slot(view, header, 0)) : 0;
  const list = follow(view, slot(view, header, 2)) + 4;
  let next = 0;
  const take = () => {
    const at = list + 16 * next++;
    return { at: body + long(view, at), bytes: long(view, at + 8) };
  };
  const columns = new Map();
  const walk = (one, top) => {
    const buffers = Array.from({ length: BUFFERS[one.layout] ?? 2 }, take);
    one.children.forEach((child) => walk(child, false));
    const made = top && column(buffer, one, buffers, rows);
    if (made) columns.set(one.name, made);
  };
  fields.forEach((one) => walk(one, true));
  return { rows, columns };
}

/** A column: `values` where it is numbers, `bytes(row)` where it is text; `there(row)` is false for a missing value. */
function column(buffer, { type, bits, signed }, buffers, rows) {
  const valid = buffers[0]?.bytes ? new Uint8Array(buffer, buffers[0].at, buffers[0].bytes) : null;
  const there = (row) => !valid || Boolean((valid[row >> 3] >> (row & 7)) & 1);
  if (type === INT || type === DATE || type === TIMESTAMP) return { kind: "number", there, values: new (WHOLE[bits][Number(signed)])(buffer, buffers[1].at, rows) };
  if (type === FLOAT && BROKEN[bits]) return { kind: "number", there, values: new BROKEN[bits](buffer, buffers[1].at, rows) };
  if (type === BOOL) {
    const set = new Uint8Array(buffer, buffers[1].at, buffers[1].bytes);
    const words = ["no", "yes"].map((word) => new TextEncoder().encode(word));
    return { kind: "text", there, bytes: (row) => words[(set[row >> 3] >> (row & 7)) & 1] };
  }
  if (type !== TEXT && type !== LARGE_TEXT) return null;
  const ends = new (type === TEXT ? Int32Array : BigInt64Array)(buffer, buffers[1].at, rows && rows + 1);
  const all = new Uint8Array(buffer, buffers[2].at, buffers[2].bytes);
  return { kind: "text", there, bytes: (row) => all.subarray(Number(ends[row]), Number(ends[row + 1])) };
}

/** A value for people: text, number, or null. */
export function valueOf(column, row) {
  if (!column || !column.there(row)) return null;
  return column.kind === "text" ? new TextDecoder().decode(column.bytes(row)) : Number(column.values[row]);
}
