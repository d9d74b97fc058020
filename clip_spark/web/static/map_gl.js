// Draws points and small pictures with WebGL2. The points of a tile are on the graphics card once; a frame says only where
// the tile lies. Colours are numbers in a palette, so that another theme or another emphasis moves no points.

const PALETTE = 40;
export const CELL = 64; // pixels of a small picture
export const SHEET = 8; // of them along each side of a sheet
const ATLAS = 4; // sheets along each side of the texture that holds them
export const SHEETS = ATLAS * ATLAS;

const POINT_VERTEX = `#version 300 es
layout(location=0) in vec2 place; layout(location=1) in uint code;
uniform vec4 tile; uniform float size; uniform vec4 palette[${PALETTE}];
out vec4 tint;
void main() {
  gl_Position = vec4(place * tile.zw + tile.xy, 0.0, 1.0);
  tint = palette[code];
  gl_PointSize = tint.a > 0.0 ? size : 0.0;
}`;
const POINT_FRAGMENT = `#version 300 es
precision mediump float;
in vec4 tint; uniform highp float size; uniform bool round; out vec4 colour;
void main() {
  float alpha = tint.a;
  if (round) alpha *= clamp((0.5 - length(gl_PointCoord - 0.5)) * size + 0.5, 0.0, 1.0);
  colour = vec4(tint.rgb * alpha, alpha);
}`;
const LIT_VERTEX = `#version 300 es
layout(location=0) in vec2 place; layout(location=1) in vec4 shade;
uniform float size; out vec4 tint;
void main() { gl_Position = vec4(place, 0.0, 1.0); tint = shade; gl_PointSize = size; }`;
const LIT_FRAGMENT = `#version 300 es
precision mediump float;
in vec4 tint; uniform highp float size; uniform vec3 edge; out vec4 colour;
void main() {
  float away = length(gl_PointCoord - 0.5) * size, reach = size * 0.5;
  float alpha = clamp(reach - away, 0.0, 1.0);
  vec3 inner = mix(tint.rgb, edge, clamp(away - reach + 2.0, 0.0, 1.0));
  colour = vec4(inner * alpha, alpha) * tint.a;
}`;
const SPRITE_VERTEX = `#version 300 es
layout(location=0) in vec2 corner; layout(location=1) in vec4 at; layout(location=2) in vec2 cell;
uniform vec2 half_pixels; out vec2 from;
void main() {
  gl_Position = vec4(at.xy + (corner * 2.0 - 1.0) * at.z * half_pixels, 0.0, 1.0);
  from = (cell + vec2(corner.x, 1.0 - corner.y) * ${CELL}.0) / ${ATLAS * SHEET * CELL}.0;
}`;
const SPRITE_FRAGMENT = `#version 300 es
precision mediump float;
in vec2 from; uniform sampler2D atlas; uniform vec3 shade; out vec4 colour;
void main() { colour = texture(atlas, from) * vec4(shade, 1.0); }`;

/** A program; compiled beside whatever the page does meanwhile, for nothing is asked of it before it is used. */
class Program {
  constructor(gl, vertex, fragment) {
    this.gl = gl;
    this.uniforms = null; // found at the first use
    this.made = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(this.made, shader);
    }
    gl.linkProgram(this.made);
  }

  /** Use it; its uniforms by name. */
  use() {
    const { gl, made } = this;
    gl.useProgram(made);
    this.uniforms ??= this.find();
    return this.uniforms;
  }

  find() {
    const { gl, made } = this, uniforms = {};
    if (!gl.getProgramParameter(made, gl.LINK_STATUS) && !gl.isContextLost()) throw new Error(gl.getProgramInfoLog(made) || "The map cannot be drawn here.");
    const count = gl.getProgramParameter(made, gl.ACTIVE_UNIFORMS) ?? 0;
    for (let at = 0; at < count; at++) {
      const { name } = gl.getActiveUniform(made, at);
      uniforms[name.replace("[0]", "")] = gl.getUniformLocation(made, name);
    }
    return uniforms;
  }
}

export class Painter {
  /** A painter of a canvas; null where the browser has no WebGL2. */
  static of(canvas) {
    const gl = canvas.getContext("webgl2", { antialias: false, depth: false, stencil: false });
    return gl && new Painter(canvas, gl);
  }

  constructor(canvas, gl) {
    this.canvas = canvas;
    this.gl = gl;
    this.begin();
  }

  /** All that lives on the card; again after it was lost. */
  begin() {
    const { gl } = this;
    this.points = new Program(gl, POINT_VERTEX, POINT_FRAGMENT);
    this.lit = this.sprites = null; // most maps have neither at first: made when they do
    this.tiles = new Map();
    this.palette = new Float32Array(4 * PALETTE);
    this.litBuffer = gl.createBuffer();
    this.litArray = this.vertices(this.litBuffer, [[0, 2, gl.FLOAT, 0], [1, 4, gl.FLOAT, 8]], 24);
    this.beginSprites();
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  vertices(buffer, parts, stride, each = 0) {
    const { gl } = this, made = gl.createVertexArray();
    gl.bindVertexArray(made);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    for (const [location, size, type, offset] of parts) {
      gl.enableVertexAttribArray(location);
      gl.vertexAttribPointer(location, size, type, false, stride, offset);
      gl.vertexAttribDivisor(location, each);
    }
    return made;
  }

  beginSprites() {
    const { gl } = this;
    this.spriteBuffer = gl.createBuffer();
    this.spriteArray = this.vertices(this.spriteBuffer, [[1, 4, gl.FLOAT, 0], [2, 2, gl.FLOAT, 16]], 24, 1);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([0, 0, 1, 0, 0, 1, 1, 1]), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    this.atlas = null; // 16 MB, made with the first sheet
  }

  makeAtlas() {
    const { gl } = this, side = ATLAS * SHEET * CELL;
    this.atlas = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.atlas);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, side, side);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  }

  /** Put a sheet of pictures into one of SHEETS places. */
  putSheet(place, image) {
    const { gl } = this;
    if (!this.atlas) this.makeAtlas();
    gl.bindTexture(gl.TEXTURE_2D, this.atlas);
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, true);
    const [left, top] = [place % ATLAS, Math.floor(place / ATLAS)].map((at) => at * SHEET * CELL);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, left, top, gl.RGBA, gl.UNSIGNED_BYTE, image);
  }

  /** Where a cell of a sheet lies in the texture, in pixels. */
  cell(place, at) {
    const [left, top] = [place % ATLAS, Math.floor(place / ATLAS)].map((one) => one * SHEET * CELL);
    return [left + (at % SHEET) * CELL, top + Math.floor(at / SHEET) * CELL];
  }

  /** @param {number[][]} colours red, green, blue from 0 to 255; @param {number[]} strengths from 0 to 1, of each */
  setPalette(colours, strengths) {
    this.palette.fill(0);
    colours.slice(0, PALETTE).forEach((colour, at) => {
      colour.forEach((value, band) => (this.palette[4 * at + band] = value / 255));
      this.palette[4 * at + 3] = strengths[at];
    });
  }

  /** Put the points of a tile on the card, or other numbers of colours for them. */
  put(tile, codes) {
    const { gl } = this;
    let kept = this.tiles.get(tile.name);
    if (!kept) {
      kept = { places: gl.createBuffer(), codes: gl.createBuffer() };
      kept.array = this.vertices(kept.places, [[0, 2, gl.UNSIGNED_SHORT, 0]], 4);
      gl.bufferData(gl.ARRAY_BUFFER, tile.places, gl.STATIC_DRAW);
      gl.bindBuffer(gl.ARRAY_BUFFER, kept.codes);
      gl.enableVertexAttribArray(1);
      gl.vertexAttribIPointer(1, 1, gl.UNSIGNED_BYTE, 0, 0);
      this.tiles.set(tile.name, kept);
    }
    gl.bindBuffer(gl.ARRAY_BUFFER, kept.codes);
    gl.bufferData(gl.ARRAY_BUFFER, codes, gl.STATIC_DRAW);
  }

  drop(tile) {
    const kept = this.tiles.get(tile.name);
    if (!kept) return;
    this.gl.deleteVertexArray(kept.array);
    this.gl.deleteBuffer(kept.places);
    this.gl.deleteBuffer(kept.codes);
    this.tiles.delete(tile.name);
  }

  resize(width, height, ratio) {
    this.ratio = ratio;
    const { canvas } = this, [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high]; // each change makes it anew
  }

  clear() {
    const { gl, canvas } = this;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
  }

  /** @param {{tile, square: number[], ranges: number[][]}[]} drawn; @param {number} size of a point in CSS pixels */
  drawPoints(camera, drawn, size) {
    const { gl } = this, uniforms = this.points.use(), pixels = size * this.ratio;
    gl.uniform4fv(uniforms.palette, this.palette);
    gl.uniform1f(uniforms.size, pixels);
    gl.uniform1i(uniforms.round, Number(pixels > 2.6));
    const [wide, high] = [(2 * camera.scale) / camera.width, (2 * camera.scale) / camera.height];
    for (const { tile, square: [x, y, side], ranges } of drawn) {
      const kept = this.tiles.get(tile.name);
      if (!kept) continue;
      gl.bindVertexArray(kept.array);
      gl.uniform4f(uniforms.tile, (x - camera.x) * wide, (y - camera.y) * high, (side / 65536) * wide, (side / 65536) * high);
      for (const [first, end] of ranges) gl.drawArrays(gl.POINTS, first, end - first);
    }
  }

  /** Hits of a search. @param {{x: number, y: number, colour: number[]}[]} hits; the best last, so that it lies on top */
  drawLit(camera, hits, size, edge) {
    if (!hits.length) return;
    const { gl } = this, data = new Float32Array(6 * hits.length);
    hits.forEach(({ x, y, colour }, at) => data.set([...this.clip(camera, x, y), ...colour.map((value) => value / 255), 1], 6 * at));
    const uniforms = (this.lit ??= new Program(gl, LIT_VERTEX, LIT_FRAGMENT)).use();
    gl.uniform1f(uniforms.size, size * this.ratio);
    gl.uniform3fv(uniforms.edge, edge.map((value) => value / 255));
    gl.bindVertexArray(this.litArray);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.litBuffer);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STREAM_DRAW);
    gl.drawArrays(gl.POINTS, 0, hits.length);
  }

  /**
   * Small pictures.
   * @param {{x: number, y: number, cell: number[], large?: number}[]} pictures
   * @param {number} size in CSS pixels
   * @param {number[]} shade what becomes of white, so that it does not glare on a dark ground
   */
  drawSprites(camera, pictures, size, shade) {
    if (!pictures.length || !this.atlas) return;
    const { gl } = this, data = new Float32Array(6 * pictures.length);
    pictures.forEach(({ x, y, cell, large = 1 }, at) => data.set([...this.clip(camera, x, y), large, 0, ...cell], 6 * at));
    const uniforms = (this.sprites ??= new Program(gl, SPRITE_VERTEX, SPRITE_FRAGMENT)).use();
    gl.bindTexture(gl.TEXTURE_2D, this.atlas);
    gl.uniform2f(uniforms.half_pixels, size / camera.width, size / camera.height);
    gl.uniform3fv(uniforms.shade, shade.map((value) => value / 255));
    gl.bindVertexArray(this.spriteArray);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.spriteBuffer);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STREAM_DRAW);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, pictures.length);
  }

  clip(camera, x, y) {
    return [((x - camera.x) * 2 * camera.scale) / camera.width, ((y - camera.y) * 2 * camera.scale) / camera.height];
  }
}
