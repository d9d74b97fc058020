// Files as a tar (ustar), in parts for a Blob.

const BLOCK = 512;

/** @param {[string, Uint8Array][]} files names of at most 100 bytes, and contents */
export function tarOf(files) {
  const parts = files.flatMap(([name, data]) => [header(name, data.length), data, new Uint8Array(-data.length & (BLOCK - 1))]);
  return [...parts, new Uint8Array(2 * BLOCK)];
}

function header(name, size) {
  const block = new Uint8Array(BLOCK);
  const put = (text, at) => block.set(new TextEncoder().encode(text), at);
  const octal = (value, digits) => `${value.toString(8).padStart(digits, "0")}\0`;
  put(name.slice(0, 100), 0);
  put(octal(0o644, 7) + octal(0, 7) + octal(0, 7) + octal(size, 11) + octal(0, 11) + " ".repeat(8) + "0", 100);
  put("ustar\0" + "00", 257);
  put(`${octal(block.reduce((sum, byte) => sum + byte, 0), 6)} `, 148);
  return block;
}
