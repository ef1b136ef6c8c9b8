// node y4m_reads.mjs HEADER SIZE: opens y4m of so many bytes, which begins with HEADER; how many bytes were asked for.
import { Y4mReader } from "../../web/y4m.js";

const [header, size] = process.argv.slice(2);
let most = 0;
const read = (offset, count) => {
  most = Math.max(most, count);
  const bytes = new Uint8Array(Math.min(count, 1 << 20));
  bytes.set(Buffer.from(offset === 0 ? `${header}\nFRAME\n` : "FRAME\n").subarray(0, bytes.length));
  return bytes;
};
try {
  const { frameCount, format } = new Y4mReader({ size: Number(size), read });
  console.log(JSON.stringify({ frames: frameCount, width: format.width, most }));
} catch (error) {
  console.log(JSON.stringify({ error: error.message, most }));
}
