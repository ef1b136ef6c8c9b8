// node y4m.mjs FILE...: each file as raw video, a line of JSON: its format and the MD5 of its frames, or what is wrong.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { NvrcVideo } from "../../web/nvrc.js";

for (const file of process.argv.slice(2)) {
  try {
    const video = await NvrcVideo.open(readFileSync(file), { y4m: { matrix: 1 } });
    const { width, height, rate, chromaFormat, bitDepth, colour, frameCount, bytes } = video;
    const frames = [];
    for await (const { data } of video.frames()) frames.push(createHash("md5").update(data).digest("hex"));
    const last = createHash("md5").update((await video.frame(frameCount - 1)).data).digest("hex");
    const units = await video.units(0);
    const { matrix, fullRange, chromaPosition } = colour;
    const known = { width, height, rate, chromaFormat, bitDepth, matrix, fullRange, chromaPosition, bytes, units };
    console.log(JSON.stringify({ ...known, frames, last }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message, code: error.code ?? null }));
  }
}
