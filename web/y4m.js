// Raw video in y4m, read as the decoder is: everything here is synchronous, and a frame is read when it is asked for.

import { Decoder } from "./decoder.js";
import { toRgba } from "./rgb.js";

const MAGIC = "YUV4MPEG2";
const HEADER_MAX = 4096;
const SIDE_MAX = 65535;
const TERM_MAX = 2 ** 32 - 1;
const UNSPECIFIED = 2;
const DEFAULT_RATE = { numerator: 25, denominator: 1 };
// Tag -> chroma format, bit depth, chroma_sample_position.
const SPACES = new Map([
  ["420", ["4:2:0", 8, 0]], ["420jpeg", ["4:2:0", 8, 2]], ["420mpeg2", ["4:2:0", 8, 1]],
  ["420paldv", ["4:2:0", 8, 3]], ["420p10", ["4:2:0", 10, 0]], ["444", ["4:4:4", 8, 0]],
  ["444p10", ["4:4:4", 10, 0]], ["mono", ["4:0:0", 8, 0]], ["mono10", ["4:0:0", 10, 0]],
]);

const malformed = (what) => new Error(`malformed y4m: ${what}`);

/** The line at `offset` without its end. */
function lineAt(source, offset, what) {
  const bytes = source.read(offset, Math.max(0, Math.min(HEADER_MAX, source.size - offset)));
  const end = bytes.indexOf(10);
  if (end < 0) throw malformed(`the ${what} ${bytes.length < HEADER_MAX ? "is cut off" : "has no end"}`);
  return String.fromCharCode(...bytes.subarray(0, end));
}

function numberIn(text, what, high) {
  const number = /^[0-9]{1,10}$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > high) throw malformed(`the ${what} is "${text.slice(0, 40)}", not 1 to ${high}`);
  return number;
}

function rateIn(text) {
  if (text === "0:0") return DEFAULT_RATE;
  const [numerator, denominator = ""] = text.split(":", 2);
  return {
    numerator: numberIn(numerator, "frame rate", TERM_MAX),
    denominator: numberIn(denominator, "frame rate", TERM_MAX),
  };
}

/** The format that a header line describes. */
function formatIn(line, matrix) {
  const [magic, ...fields] = line.split(" ");
  if (magic !== MAGIC) throw malformed(`the first line does not start with ${MAGIC}`);
  const found = new Map();
  for (const field of fields) {
    if (field[0] !== "X") found.set(field[0], field.slice(1));
    else if (field.startsWith("XCOLORRANGE=")) found.set("range", field.slice(12));
  }
  const space = found.get("C") ?? "420jpeg";
  if (!SPACES.has(space)) {
    throw new Error(`the colour space "${space.slice(0, 40)}" of this y4m is none of ${[...SPACES.keys()].join(", ")}`);
  }
  const [chromaFormat, bitDepth, chromaPosition] = SPACES.get(space);
  // As in FFmpeg, untagged grey is full range, everything else limited.
  const fullRange = found.has("range") ? found.get("range") === "FULL" : chromaFormat === "4:0:0";
  return {
    width: numberIn(found.get("W") ?? "", "width", SIDE_MAX),
    height: numberIn(found.get("H") ?? "", "height", SIDE_MAX),
    rate: rateIn(found.get("F") ?? "0:0"),
    chromaFormat,
    bitDepth,
    colour: { primaries: UNSPECIFIED, transfer: UNSPECIFIED, matrix, fullRange, chromaPosition },
  };
}

function bytesPerFrame({ width, height, chromaFormat, bitDepth }) {
  const chroma = { "4:0:0": 0, "4:2:0": Math.ceil(width / 2) * Math.ceil(height / 2), "4:4:4": width * height };
  return (width * height + 2 * chroma[chromaFormat]) * (bitDepth > 8 ? 2 : 1);
}

export class Y4mReader {
  /**
   * Reads the header, and tells from the size of the file how many frames there are.
   * @param {{size: number, read: function(number, number): Uint8Array}} source
   * @param {{matrix?: number}} options the matrix that converts to RGB, which y4m does not tell
   */
  constructor(source, { matrix = UNSPECIFIED } = {}) {
    this.source = source;
    const header = lineAt(source, 0, "header");
    this.format = formatIn(header, matrix);
    this.first = header.length + 1;
    this.frameBytes = bytesPerFrame(this.format);
    const { width, height } = this.format;
    const rest = source.size - this.first;
    if (rest < this.frameBytes) {
      const said = `the header says ${width}x${height}, ${this.frameBytes} bytes a frame`;
      throw malformed(`${said}; only ${rest} bytes follow`);
    }
    // All frames have the parameters of the first one, or at least as many bytes of them.
    this.stride = lineAt(source, this.first, "header of frame 0").length + 1 + this.frameBytes;
    this.frameCount = Math.floor(rest / this.stride);
    if (rest % this.stride) throw malformed(`frame ${this.frameCount} is cut off`);
  }

  describe() {
    const rest = { profile: "y4m", level: 0, gops: [0], metadata: [], bytes: this.source.size };
    return { ...this.format, ...rest, frameCount: this.frameCount };
  }

  rewind() {}

  seek(n) {
    return n < this.frameCount;
  }

  /** Frame n as the decoder gives it, or null where there is none. */
  frame(n, { rgba = false } = {}) {
    if (!this.seek(n)) return null;
    const bytes = this.source.read(this.first + n * this.stride, this.stride);
    const begin = this.stride - this.frameBytes;
    const line = String.fromCharCode(...bytes.subarray(0, begin));
    if (!/^FRAME( [^\n]*)?\n$/.test(line)) throw malformed(`frame ${n} does not start with FRAME`);
    const data = new Uint8Array(bytes.subarray(begin)); // a copy, which begins at a multiple of 2
    return rgba ? { index: n, data, rgba: toRgba(data, this.format) } : { index: n, data };
  }

  units() {
    return [];
  }
}

/** What decodes a source: the decoder, or the reader of y4m where `y4m` is given and the source begins as y4m does. */
export function openDecoder(module, source, options) {
  const begin = options.y4m ? source.read(0, Math.min(MAGIC.length, source.size)) : [];
  if (String.fromCharCode(...begin) === MAGIC) return new Y4mReader(source, options.y4m);
  return new Decoder(module, source, options);
}
