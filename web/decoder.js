// One stream and one instance of nvrc.wasm. Everything here is synchronous.

import { NvrcError } from "./errors.js";
import { toRgba } from "./rgb.js";
import { unitsOfGop } from "./units.js";

const END = 1;
const ERROR = 2;
/** Of all memory that the decoder takes, spec 9.3. */
const MEMORY_BYTES = 900_000_000;
const METADATA_ENTRIES = 4096;
const CHROMA = ["4:0:0", "4:2:0", "4:4:4"];
const PROFILES = ["nano", "lite", "main"];
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true }); // U+FEFF is a part of a key

export class Decoder {
  /**
   * @param {WebAssembly.Module} module of nvrc.wasm
   * @param {{size: number, read: function(number, number): Uint8Array}} source
   * @param {{memoryBytes?: number}} options
   */
  constructor(module, source, { memoryBytes = MEMORY_BYTES } = {}) {
    this.source = source;
    this.memoryBytes = memoryBytes;
    this.end = source.size; // no read begins here or later
    const read = (offset, to, count) => this.read(offset, to >>> 0, count >>> 0);
    this.wasm = new WebAssembly.Instance(module, { nvrc: { read } }).exports;
    this.next = 0; // the frame that wasm_decode yields; null after an error
    this.open();
  }

  /** What the decoder in C calls: copies bytes of the stream to an address. */
  read(offset, to, count) {
    if (offset >= this.end || offset + count > this.source.size) return 1;
    try {
      const bytes = this.source.read(offset, count);
      new Uint8Array(this.wasm.memory.buffer, to, count).set(bytes);
      return 0;
    } catch (error) {
      this.fault = error;
      return 1;
    }
  }

  open() {
    this.isOpen = false;
    this.check(this.wasm.wasm_open(this.source.size, this.memoryBytes));
    this.isOpen = true;
    this.next = 0;
  }

  check(status) {
    if (status !== ERROR) return status;
    this.next = null;
    throw this.error();
  }

  doubles(count) {
    return [...new Float64Array(this.wasm.memory.buffer, this.wasm.wasm_scratch(), count)];
  }

  text(address) {
    const bytes = new Uint8Array(this.wasm.memory.buffer, address);
    return String.fromCharCode(...bytes.subarray(0, bytes.indexOf(0)));
  }

  error() {
    this.wasm.wasm_error(this.wasm.wasm_scratch());
    const [kind, offset, unitNumber, ...texts] = this.doubles(8);
    const [code, unit, requirement, section, sentence] = texts.map((address) => this.text(address));
    const cause = code === "E_READ" ? (this.fault?.cause ?? this.fault?.message) : undefined;
    this.fault = undefined;
    return new NvrcError({ kind, code, offset, unit, unitNumber, requirement, section, sentence, cause });
  }

  /** What SEQUENCE, INDEX and, unless `metadata` is "first", all METADATA say. */
  describe(metadata) {
    const words = new Uint32Array(this.wasm.memory.buffer, this.wasm.wasm_sequence(), 13);
    const [width, height, numerator, denominator, chroma, bitDepth] = words;
    const [primaries, transfer, matrix, full, position, profile, level] = words.slice(6);
    this.sequence = {
      width, height, rate: { numerator, denominator }, chromaFormat: CHROMA[chroma], bitDepth,
      colour: { primaries, transfer, matrix, fullRange: full === 1, chromaPosition: position },
      profile: PROFILES[profile], level,
    };
    this.check(this.wasm.wasm_count(this.wasm.wasm_scratch()));
    const [frameCount, gopCount] = this.doubles(2);
    const gops = Array.from({ length: gopCount }, (_, n) => this.gop(n));
    const known = { ...this.sequence, frameCount, gops: gops.map((gop) => gop.firstFrame), bytes: this.source.size };
    const all = (metadata ?? (this.source.remote ? "first" : "all")) === "all";
    return { ...known, metadata: this.metadata(all ? this.source.size : gops[0].offset) };
  }

  gop(n) {
    this.check(this.wasm.wasm_gop(n, this.wasm.wasm_scratch()));
    const [offset, firstFrame] = this.doubles(2);
    return { offset, firstFrame };
  }

  /** Sizes of the units of GOP n. */
  units(n) {
    return unitsOfGop(this.source, n, (gop) => this.gop(gop).offset);
  }

  /** The entries of METADATA before a byte of the stream. What is wrong with the rest, decoding will tell. */
  metadata(end) {
    const entries = [];
    this.end = end;
    while (entries.length < METADATA_ENTRIES && this.wasm.wasm_metadata(this.wasm.wasm_scratch()) === 0) {
      const [key, keySize, value, valueSize, firstFrame] = this.doubles(5);
      const bytes = (at, size) => new Uint8Array(this.wasm.memory.buffer, at, size);
      const name = utf8.decode(bytes(key, keySize));
      entries.push({ key: name, value: bytes(value, valueSize).slice(), firstFrame });
    }
    this.end = this.source.size;
    return entries;
  }

  /** Begins anew: what follows checks the whole stream, as long as frames are taken in order to the end. */
  rewind() {
    this.open();
  }

  /** Makes frame n the next one; false where there is none. */
  seek(n) {
    if (this.next === n) return true;
    if (!this.isOpen) this.open(); // a rewind failed
    this.next = null;
    if (this.check(this.wasm.wasm_seek(n)) === END) return false;
    this.next = n;
    return true;
  }

  /** Frame n as `{ index, data }`, with `rgba` where that is asked for, or null where there is none. */
  frame(n, { rgba = false } = {}) {
    if (!this.seek(n) || this.check(this.wasm.wasm_decode()) === END) return null;
    const data = new Uint8Array(this.wasm.memory.buffer, this.wasm.wasm_frame(), this.wasm.wasm_frame_size()).slice();
    const index = this.wasm.wasm_frame_index();
    this.next = index + 1;
    return rgba ? { index, data, rgba: toRgba(data, this.sequence) } : { index, data };
  }
}
