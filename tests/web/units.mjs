// node units.mjs FILE...: the units of every GOP of each stream, a line of JSON for each.
import { readFileSync } from "node:fs";
import { NvrcVideo } from "../../web/nvrc.js";

for (const file of process.argv.slice(2)) {
  const video = await NvrcVideo.open(readFileSync(file));
  const gops = [];
  for (let n = 0; n < video.gops.length; n++) gops.push(await video.units(n));
  const wrong = await Promise.all([-1, 0.5, video.gops.length].map((n) => video.units(n).catch(({ name }) => name)));
  console.log(JSON.stringify({ bytes: video.bytes, gops, wrong }));
}
