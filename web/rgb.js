// Frames as RGB, full range, 8 bits. Primaries and transfer characteristics are left as they are. Chroma is
// interpolated linearly from where its samples lie.

const IDENTITY = 0;
const BT709 = 1;
const UNSPECIFIED = 2;
const BT601 = 6;
const YCGCO = 8;
// Matrix code point of H.273 -> weights of red and blue in luma.
const WEIGHTS = new Map([
  [BT709, [0.2126, 0.0722]], [4, [0.3, 0.11]], [5, [0.299, 0.114]], [BT601, [0.299, 0.114]], [7, [0.212, 0.087]],
  [9, [0.2627, 0.0593]], [10, [0.2627, 0.0593]],
]);
const HD_HEIGHT = 720;
// chroma_sample_position -> where the first chroma sample lies, in luma samples; unknown counts as centre.
const ORIGINS = [[0.5, 0.5], [0, 0.5], [0.5, 0.5], [0, 0]];

/** The planes of a frame's raw bytes (spec 8.3): { y, u, v }, of which 4:0:0 has only y. */
export function planesOf(data, { width, height, chromaFormat, bitDepth }) {
  const samples = bitDepth === 8 ? data : new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2);
  const luma = width * height;
  const y = samples.subarray(0, luma);
  if (chromaFormat === "4:0:0") return { y, u: null, v: null };
  const chroma = chromaFormat === "4:2:0" ? Math.ceil(width / 2) * Math.ceil(height / 2) : luma;
  return { y, u: samples.subarray(luma, luma + chroma), v: samples.subarray(luma + chroma) };
}

/** Rows of red, green and blue: each is three factors, of samples as they are stored, and a constant. */
function affine({ height, bitDepth, colour }) {
  const unit = 2 ** (bitDepth - 8);
  const top = 2 ** bitDepth - 1;
  const { matrix, fullRange } = colour;
  const luma = fullRange ? 255 / top : 255 / (219 * unit);
  const chroma = fullRange ? 255 / top : 255 / (224 * unit);
  const black = fullRange ? 0 : 16 * unit;
  // Planes are normalised by these, and then weighted.
  const scales = matrix === IDENTITY ? [luma, luma, luma] : [luma, chroma, chroma];
  const offsets = matrix === IDENTITY ? [black, black, black] : [black, 128 * unit, 128 * unit];
  return weights(matrix, height).map((row) => {
    const factors = row.map((weight, i) => weight * scales[i]);
    return [...factors, -factors.reduce((sum, factor, i) => sum + factor * offsets[i], 0)];
  });
}

function weights(matrix, height) {
  if (matrix === IDENTITY) return [[0, 0, 1], [1, 0, 0], [0, 1, 0]];
  if (matrix === YCGCO) return [[1, -1, 1], [1, 1, 0], [1, -1, -1]];
  const known = matrix !== UNSPECIFIED && WEIGHTS.has(matrix) ? matrix : height >= HD_HEIGHT ? BT709 : BT601;
  const [red, blue] = WEIGHTS.get(known);
  const green = 1 - red - blue;
  const fromRed = 2 * (1 - red);
  const fromBlue = 2 * (1 - blue);
  return [[1, 0, fromRed], [1, (-blue * fromBlue) / green, (-red * fromRed) / green], [1, fromBlue, 0]];
}

/** For each of `count` luma positions along an axis: the chroma samples on both sides, and the weight of the second. */
function neighbours(count, origin) {
  const last = Math.ceil(count / 2) - 1;
  const before = new Int32Array(count);
  const after = new Int32Array(count);
  const weight = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const place = (i - origin) / 2;
    const sample = Math.floor(place);
    before[i] = Math.max(sample, 0);
    after[i] = Math.min(sample + 1, last);
    weight[i] = place - sample;
  }
  return { before, after, weight };
}

/** A function that writes row `row` of a chroma plane, at luma size, to `out`. */
function chromaRows({ width, height, chromaFormat, colour }) {
  if (chromaFormat === "4:4:4") {
    return (plane, row, out) => {
      for (let x = 0, at = row * width; x < width; x++) out[x] = plane[at + x];
    };
  }
  const [originX, originY] = ORIGINS[colour.chromaPosition];
  const columns = Math.ceil(width / 2);
  const across = neighbours(width, originX);
  const down = neighbours(height, originY);
  const blended = new Float64Array(columns);
  return (plane, row, out) => {
    const first = down.before[row] * columns;
    const second = down.after[row] * columns;
    const weight = down.weight[row];
    for (let i = 0; i < columns; i++) blended[i] = plane[first + i] * (1 - weight) + plane[second + i] * weight;
    for (let x = 0; x < width; x++) {
      const left = blended[across.before[x]];
      out[x] = left + (blended[across.after[x]] - left) * across.weight[x];
    }
  };
}

/** A frame's raw bytes as RGBA: a Uint8ClampedArray, which rounds and clips what is written. */
export function toRgba(data, format) {
  const { width, height } = format;
  const { y, u, v } = planesOf(data, format);
  const out = new Uint8ClampedArray(4 * width * height).fill(255);
  if (!u) {
    const [scale, , , constant] = affine({ ...format, colour: { ...format.colour, matrix: IDENTITY } })[1];
    for (let i = 0; i < y.length; i++) out[4 * i] = out[4 * i + 1] = out[4 * i + 2] = y[i] * scale + constant;
    return out;
  }
  const rows = chromaRows(format);
  const cb = new Float64Array(width);
  const cr = new Float64Array(width);
  const [[ry, ru, rv, r1], [gy, gu, gv, g1], [by, bu, bv, b1]] = affine(format);
  for (let row = 0, i = 0, at = 0; row < height; row++) {
    rows(u, row, cb);
    rows(v, row, cr);
    for (let x = 0; x < width; x++, i++, at += 4) {
      const luma = y[i];
      const b = cb[x];
      const r = cr[x];
      out[at] = luma * ry + b * ru + r * rv + r1;
      out[at + 1] = luma * gy + b * gu + r * gv + g1;
      out[at + 2] = luma * by + b * bu + r * bv + b1;
    }
  }
  return out;
}
