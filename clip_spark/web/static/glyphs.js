// Signs that no font of this machine has, such as emoji on many a server or an old phone, would be boxes: they are left out of
// what is shown, as the drawings of a map do. Files and tooltips have the whole text.

/** Latin letters, marks and usual punctuation: every machine has these. */
const UNUSUAL = /[^\u0000-\u024f\u0300-\u036f\u2000-\u206f\u20ac]/u;
/** Signs that are not drawn by themselves: joiners, variation selectors, accents, tags of flags. */
const UNSEEN = /[\p{M}\p{Cf}\p{Zs}\p{Cc}]/u;
const NOBODY_HAS = ["\u{10fffe}", "\u0378"];
const PIXELS = 24, KNOWN = 20_000;

let pen = null, boxes = new Set();
const known = new Map(); // sign -> whether it can be drawn

function begin() {
  pen = Object.assign(document.createElement("canvas"), { width: 2 * PIXELS, height: 2 * PIXELS }).getContext("2d", { willReadFrequently: true });
  if (!pen) return;
  pen.font = `${PIXELS}px ${getComputedStyle(document.body).fontFamily}`;
  boxes = new Set(NOBODY_HAS.map(drawn));
  if (boxes.has(drawn("a"))) boxes.clear(); // a browser that tells nobody what it has drawn
}

function drawn(sign) {
  pen.clearRect(0, 0, 2 * PIXELS, 2 * PIXELS);
  pen.fillText(sign, 4, 1.3 * PIXELS);
  return new Uint32Array(pen.getImageData(0, 0, 2 * PIXELS, 2 * PIXELS).data.buffer).join();
}

/** Whether this machine can draw a code point. */
function canDraw(sign) {
  if (!UNUSUAL.test(sign) || UNSEEN.test(sign)) return true;
  if (!pen) begin();
  let can = known.get(sign);
  if (can === undefined) {
    can = !boxes.size || !boxes.has(drawn(sign));
    if (known.size < KNOWN) known.set(sign, can);
  }
  return can;
}

const clusters = "Segmenter" in Intl ? new Intl.Segmenter("en", { granularity: "grapheme" }) : null;
const signsOf = (text) => (clusters ? Array.from(clusters.segment(text), ({ segment }) => segment) : [...text]);
const codes = (text) => [...text].filter((sign) => !UNSEEN.test(sign)).map((sign) => `U+${sign.codePointAt(0).toString(16).toUpperCase()}`).join(" ");

/** A text without what would be a box; of one that is nothing else, the numbers of its signs. @param {string} text */
export function drawable(text) {
  if (!UNUSUAL.test(text)) return text;
  const all = signsOf(text), there = all.filter((sign) => [...sign].every(canDraw));
  if (there.length === all.length) return text;
  const left = there.join("").replace(/ {2,}/g, " ").trim();
  return left || codes(text);
}
