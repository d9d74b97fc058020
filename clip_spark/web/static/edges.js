// A tile takes the colour of its picture's edge, so that a white picture is no lamp in a dark page.

const SIDE = 32;
const OPAQUE = 250;

let context = null; // one for all pictures: making one takes longer than reading it

function begin() {
  const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  return canvas.getContext("2d", { willReadFrequently: true });
}

/** The usual colour of a loaded picture's edge, if the edge is opaque; else null. */
export function edgeColour(image) {
  try {
    context ??= begin();
    context.clearRect(0, 0, SIDE, SIDE);
    context.drawImage(image, 0, 0, SIDE, SIDE);
    return usualOnEdge(context.getImageData(0, 0, SIDE, SIDE).data);
  } catch {
    return null; // a browser that keeps pixels to itself
  }
}

function usualOnEdge(pixels) {
  const channels = [[], [], []];
  for (let row = 0; row < SIDE; row++) {
    for (let column = 0; column < SIDE; column++) {
      if (row % (SIDE - 1) && column % (SIDE - 1)) continue;
      const at = 4 * (row * SIDE + column);
      if (pixels[at + 3] < OPAQUE) return null;
      channels.forEach((values, channel) => values.push(pixels[at + channel]));
    }
  }
  return `rgb(${channels.map((values) => values.sort((a, b) => a - b)[values.length >> 1]).join(" ")})`; // the median: what crosses the edge does not tint it
}
