// node inputs.mjs FILE URL: frames of a stream from each kind of input, then what becomes of inputs that are none.
import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { NvrcVideo } from "../../web/nvrc.js";

const [file, url] = process.argv.slice(2);
process.chdir(dirname(file));
const bytes = new Uint8Array(readFileSync(file));
const inputs = [bytes, bytes.buffer, new Blob([bytes]), pathToFileURL(file), file, basename(file), url, new URL(url)];
const counts = [];
for (const input of inputs) {
  const video = await NvrcVideo.open(input);
  let frames = 0;
  for await (const _ of video.frames()) frames++;
  counts.push(frames);
  video.close();
  await video.frame(0).then(() => counts.push("open"), () => {});
}
const wrong = [];
for (const input of ["none.nvrc", `${url}.none`, "http://127.0.0.1:1/", 3, null, "a:b"]) {
  wrong.push(await NvrcVideo.open(input).then(() => "", ({ name, code, kind }) => [name, code ?? null, kind ?? null]));
}
console.log(JSON.stringify({ counts, wrong }));
