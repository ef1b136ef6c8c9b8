// The decoder of .nvrc streams, for browsers and Node. nvrc.d.ts says what everything is.

import { NvrcError, readError } from "./errors.js";
import { wasmUrl, workerType, workerUrl } from "./place.js";
import { present } from "./presentation.js";
import { planesOf } from "./rgb.js";
import { MemorySource } from "./sources.js";
import { openDecoder } from "./y4m.js";

export { NvrcError };

/** Frames that an iterator asks for before they are taken. */
const AHEAD = 2;
const hasWorkers = typeof Worker !== "undefined";

async function bytesOf(url) {
  if (url.protocol === "file:" && typeof process !== "undefined") {
    const { readFile } = await import("node:fs/promises");
    return readFile(url).catch((error) => {
      throw readError(error.message);
    });
  }
  const answer = await fetch(url).catch((error) => {
    throw readError(`${url}: ${error.message}`);
  });
  if (!answer.ok) throw readError(`${url}: the server answered ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

let compiled;

/** nvrc.wasm, compiled once; after a failure it is tried again. */
function compile() {
  if (!compiled) {
    const code = ArrayBuffer.isView(wasmUrl) ? Promise.resolve(wasmUrl) : bytesOf(wasmUrl);
    compiled = code.then((bytes) => WebAssembly.compile(bytes));
    compiled.catch(() => (compiled = undefined));
  }
  return compiled;
}

/** What `openSource` takes. */
function describeSource(source) {
  if (source instanceof Uint8Array) return { bytes: source };
  if (source instanceof ArrayBuffer) return { bytes: new Uint8Array(source) };
  if (typeof Blob !== "undefined" && source instanceof Blob) return { blob: source };
  if (typeof source === "string" || source instanceof URL) {
    return { url: new URL(source, globalThis.location?.href ?? `file://${process.cwd()}/`).href };
  }
  throw new TypeError("a stream is a URL, an ArrayBuffer, a Uint8Array or a Blob");
}

/** The decoder in a worker. */
class Remote {
  constructor() {
    this.waiting = new Map();
    this.count = 0;
    this.worker = new Worker(workerUrl, { type: workerType });
    this.worker.onmessage = ({ data }) => this.settle(data);
    this.worker.onerror = (event) => this.fail(new Error(event.message || "the worker of nvrc did not start"));
  }

  settle({ id, result, error }) {
    const call = this.waiting.get(id);
    this.waiting.delete(id);
    if (!call) return; // it has failed before
    if (!error) call.resolve(result);
    else call.reject(error.code ? new NvrcError(error) : new Error(error.message));
  }

  fail(error) {
    this.failed = error;
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  call(method, ...args) {
    if (this.failed) return Promise.reject(this.failed);
    const id = this.count++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, method, args });
    });
  }

  close() {
    this.worker.terminate();
    this.fail(new Error("the video is closed"));
  }
}

/** The decoder in this thread. */
class Local {
  async call(method, ...args) {
    if (this.failed) throw this.failed;
    if (method !== "open") return this.decoder[method](...args);
    const [module, { bytes, blob, url }, options] = args;
    const data = bytes ?? (blob ? new Uint8Array(await blob.arrayBuffer()) : await bytesOf(new URL(url)));
    this.decoder = openDecoder(module, new MemorySource(data), options);
    return this.decoder.describe(options.metadata);
  }

  close() {
    this.decoder = undefined;
    this.failed = new Error("the video is closed");
  }
}

export class NvrcVideo {
  #decoder;

  static async open(source, options = {}) {
    const described = describeSource(source);
    const module = await compile();
    const decoder = hasWorkers ? new Remote() : new Local();
    const { memoryBytes, metadata, y4m } = options;
    try {
      return new NvrcVideo(decoder, await decoder.call("open", module, described, { memoryBytes, metadata, y4m }));
    } catch (error) {
      decoder.close();
      throw error;
    }
  }

  constructor(decoder, description) {
    this.#decoder = decoder;
    Object.assign(this, description);
    Object.assign(this, present(this.metadata, this.rate, this.frameCount));
  }

  #finish(frame) {
    if (frame) Object.assign(frame, planesOf(frame.data, this), { time: this.times.start(frame.index) });
    return frame;
  }

  #require(n) {
    if (!Number.isInteger(n) || n < 0 || n >= this.frameCount) {
      throw new RangeError(`there is no frame ${n}: the video has frames 0 to ${this.frameCount - 1}`);
    }
  }

  async frame(n, { rgba = false } = {}) {
    this.#require(n);
    return this.#finish(await this.#decoder.call("frame", n, { rgba }));
  }

  async seek(n) {
    this.#require(n);
    await this.#decoder.call("seek", n);
  }

  async finish() {
    await this.#decoder.call("frame", this.frameCount, {});
  }

  async units(gop) {
    if (!Number.isInteger(gop) || gop < 0 || gop >= this.gops.length) {
      throw new RangeError(`there is no GOP ${gop}: the video has GOPs 0 to ${this.gops.length - 1}`);
    }
    return this.#decoder.call("units", gop);
  }

  async *frames(from = 0, { rgba = false } = {}) {
    this.#require(from);
    const asked = [];
    const ask = (n) => {
      const answer = this.#decoder.call("frame", n, { rgba });
      answer.catch(() => {}); // it is thrown where it is taken
      asked.push(answer);
    };
    if (from === 0) await this.#decoder.call("rewind");
    // The request for the frame after the last one makes the decoder check the rest of the stream. Where END tells fewer
    // frames than there are, there is one more.
    for (let n = from, last = this.frameCount; ; ) {
      while (asked.length < AHEAD && n <= last) ask(n++);
      const frame = await asked.shift();
      if (!frame) return;
      last = Math.max(last, frame.index + 1);
      yield this.#finish(frame);
    }
  }

  close() {
    this.#decoder.close();
  }
}
