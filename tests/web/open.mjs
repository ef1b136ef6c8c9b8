// node open.mjs METADATA FILE...: what each stream says before a frame is decoded, a line of JSON for each.
import { readFileSync } from "node:fs";
import { NvrcVideo } from "../../web/nvrc.js";

const [metadata, ...files] = process.argv.slice(2);
for (const file of files) {
  const video = await NvrcVideo.open(readFileSync(file), { metadata });
  const starts = Array.from({ length: video.frameCount + 1 }, (_, n) => video.times.start(n));
  const at = starts.slice(0, -1).map((start) => video.times.frameAt(start));
  const text = (bytes) => new TextDecoder().decode(bytes);
  const entries = video.metadata.map(({ key, value, firstFrame }) => [key, text(value), firstFrame]);
  console.log(JSON.stringify({ presentation: video.presentation, gops: video.gops, starts, at, metadata: entries }));
  video.close();
}
