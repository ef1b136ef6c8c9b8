// node streams.mjs FILE...: decodes each stream and prints what became of it, a line of JSON for each.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { NvrcError, NvrcVideo } from "../../web/nvrc.js";

// Every instance of nvrc.wasm, to see how much memory it has.
const instances = [];
WebAssembly.Instance = class extends WebAssembly.Instance {
  constructor(...args) {
    super(...args);
    instances.push(this);
  }
};

const md5 = (frame) => createHash("md5").update(frame.data).digest("hex");

async function decode(file) {
  const video = await NvrcVideo.open(readFileSync(file));
  const { width, height, frameCount, rate, bitDepth, profile } = video;
  const frames = [];
  for await (const frame of video.frames()) frames.push(md5(frame));
  // The last, the first, the one in the middle, its successor: seeks within and between GOPs, and none.
  const some = {};
  const middle = frameCount >> 1;
  for (const n of [frameCount - 1, 0, middle, Math.min(middle + 1, frameCount - 1)]) {
    some[n] = md5(await video.frame(n));
  }
  const tail = [];
  for await (const frame of video.frames(middle)) tail.push(md5(frame));
  video.close();
  return { width, height, frameCount, rate, bitDepth, profile, frames, some, tail };
}

for (const file of process.argv.slice(2)) {
  const begin = performance.now();
  instances.length = 0;
  let result;
  try {
    result = await decode(file);
  } catch (error) {
    if (!(error instanceof NvrcError)) throw error;
    result = { error: { ...error.fields(), message: error.message } };
  }
  result.seconds = (performance.now() - begin) / 1000;
  result.bytes = Math.max(...instances.map((instance) => instance.exports.memory.buffer.byteLength));
  console.log(JSON.stringify(result));
}
