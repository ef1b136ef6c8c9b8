// node rewind.mjs FILE: what becomes of a decoder whose source fails while it begins anew, and then works again.
import { readFileSync } from "node:fs";
import { Decoder } from "../../web/decoder.js";

const bytes = readFileSync(process.argv[2]);
const wasm = readFileSync(new URL("../../web/nvrc.wasm", import.meta.url));
let fails = false;
const read = (offset, count) => {
  if (fails) throw new Error("no network");
  return bytes.subarray(offset, offset + count);
};
const decoder = new Decoder(await WebAssembly.compile(wasm), { size: bytes.length, remote: false, read });
const codes = [];
fails = true;
for (const call of [() => decoder.rewind(), () => decoder.frame(1)]) {
  try {
    call();
  } catch (error) {
    codes.push(error.code ?? error.message);
  }
}
fails = false;
console.log(JSON.stringify({ codes, indices: [decoder.frame(1).index, decoder.frame(2).index] }));
