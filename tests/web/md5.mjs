// node md5.mjs COUNT...: the MD5 of so many bytes (7 i + 3) mod 256, in the middle of a buffer, a line each.
import { md5 } from "../../web/md5.js";

for (const count of process.argv.slice(2).map(Number)) {
  const bytes = Uint8Array.from({ length: count + 5 }, (_, i) => 7 * (i - 3) + 3);
  console.log(JSON.stringify(md5(bytes.subarray(3, count + 3))));
}
