// Where a stream's bytes come from. A source has `size` and `read(offset, count)`, which returns exactly `count` bytes,
// all of which lie in the stream, or throws. Reading is synchronous, because the decoder is: so files and servers can
// be read in a worker only.

import { readError } from "./errors.js";

const BLOCK_BYTES = 65536;
const CACHE_BLOCKS = 512;

export class MemorySource {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.size = bytes.length;
    this.remote = false;
  }

  read(offset, count) {
    return this.bytes.subarray(offset, offset + count);
  }
}

/** Blocks of a source whose reads are slow. Subclasses have `load(begin, end)`: those bytes, at once. */
class BlockSource {
  constructor(size) {
    this.size = size;
    this.blocks = new Map(); // in the order of their last use
  }

  keep(number, block) {
    this.blocks.delete(number);
    this.blocks.set(number, block);
    if (this.blocks.size > CACHE_BLOCKS) this.blocks.delete(this.blocks.keys().next().value);
  }

  /** Loads blocks `first` to `last`, and keeps them. */
  loadBlocks(first, last) {
    const begin = first * BLOCK_BYTES;
    const bytes = this.load(begin, Math.min((last + 1) * BLOCK_BYTES, this.size));
    for (let n = first, at = 0; n <= last; n++, at += BLOCK_BYTES) this.keep(n, bytes.slice(at, at + BLOCK_BYTES));
    return bytes;
  }

  read(offset, count) {
    const out = new Uint8Array(count);
    const put = (bytes, at) => {
      const from = Math.max(offset - at, 0);
      out.set(bytes.subarray(from, offset + count - at), at + from - offset);
    };
    const last = Math.floor((offset + count - 1) / BLOCK_BYTES);
    for (let n = Math.floor(offset / BLOCK_BYTES); n <= last; n++) {
      const block = this.blocks.get(n);
      if (block) {
        this.keep(n, block);
        put(block, n * BLOCK_BYTES);
        continue;
      }
      const first = n;
      while (n < last && !this.blocks.has(n + 1)) n++;
      put(this.loadBlocks(first, n), first * BLOCK_BYTES);
    }
    return out;
  }
}

/** A Blob or File, in a worker. */
export class BlobSource extends BlockSource {
  constructor(blob) {
    super(blob.size);
    this.blob = blob;
    this.remote = false;
    this.reader = new FileReaderSync();
  }

  load(begin, end) {
    return new Uint8Array(this.reader.readAsArrayBuffer(this.blob.slice(begin, end)));
  }
}

/** A URL whose server answers range requests, in a worker. */
class HttpSource extends BlockSource {
  constructor(url, size, version, start) {
    super(size);
    this.url = url;
    this.version = version;
    this.remote = true;
    for (let n = 0; n * BLOCK_BYTES < start.length; n++) {
      this.keep(n, start.slice(n * BLOCK_BYTES, (n + 1) * BLOCK_BYTES));
    }
  }

  load(begin, end) {
    const answer = request(this.url, begin, end);
    if (answer.status !== 206 || answer.bytes.length !== end - begin) {
      throw readError(`the server answered ${answer.status} with ${answer.bytes.length} bytes`, begin);
    }
    if (answer.version !== this.version || answer.size !== this.size) {
      throw readError("the file on the server has changed", begin);
    }
    return answer.bytes;
  }
}

/** Bytes begin to end - 1 of a URL, or all of them where the server ignores ranges. */
function request(url, begin, end) {
  const http = new XMLHttpRequest();
  http.open("GET", url, false);
  http.responseType = "arraybuffer";
  http.setRequestHeader("Range", `bytes=${begin}-${end - 1}`);
  try {
    http.send();
  } catch (error) {
    throw readError(`${url}: ${error.message}`, begin);
  }
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(http.getResponseHeader("Content-Range") ?? "");
  return {
    status: http.status,
    bytes: new Uint8Array(http.response ?? new ArrayBuffer(0)),
    begin: range ? Number(range[1]) : 0,
    size: range ? Number(range[2]) : null,
    version: http.getResponseHeader("ETag") ?? http.getResponseHeader("Last-Modified"),
  };
}

/** The source for a URL; where the server ignores ranges, the whole file in memory. */
export function openUrl(url) {
  const answer = request(url, 0, BLOCK_BYTES);
  if (answer.status === 206 && answer.size !== null && answer.begin === 0) {
    const expected = Math.min(BLOCK_BYTES, answer.size);
    if (answer.bytes.length === expected) return new HttpSource(url, answer.size, answer.version, answer.bytes);
  }
  // An empty file has no first byte, so that the range is out of its bounds.
  if (answer.status === 416) return new MemorySource(new Uint8Array(0));
  if (answer.status !== 200 && answer.status !== 0) throw readError(`${url}: the server answered ${answer.status}`);
  if (answer.status === 0 && answer.bytes.length === 0) throw readError(`${url}: no answer`);
  return new MemorySource(answer.bytes);
}

/** The source for what the page sent: `{ bytes }`, `{ blob }` or `{ url }`. */
export function openSource({ bytes, blob, url }) {
  if (bytes) return new MemorySource(bytes);
  return blob ? new BlobSource(blob) : openUrl(url);
}
