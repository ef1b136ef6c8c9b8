// node rgb.mjs CASES.json: the pictures of frames as RGBA, in base64, a line each.
import { readFileSync } from "node:fs";
import { toRgba } from "../../web/rgb.js";

for (const { data, format } of JSON.parse(readFileSync(process.argv[2], "utf-8"))) {
  const bytes = Uint8Array.from(Buffer.from(data, "base64"));
  console.log(JSON.stringify(Buffer.from(toRgba(bytes, format).buffer).toString("base64")));
}
