// node memory.mjs FILE BYTES: what becomes of a stream with this limit of memory.
import { readFileSync } from "node:fs";
import { NvrcVideo } from "../../web/nvrc.js";

try {
  const video = await NvrcVideo.open(readFileSync(process.argv[2]), { memoryBytes: Number(process.argv[3]) });
  let frames = 0;
  for await (const _ of video.frames()) frames++;
  console.log(JSON.stringify({ frames }));
} catch (error) {
  console.log(JSON.stringify({ code: error.code, kind: error.kind, sentence: error.sentence }));
}
