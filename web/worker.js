// A worker that decodes one stream. A message is { id, method, args }, its answer { id, result } or { id, error }.

import { NvrcError } from "./errors.js";
import { openSource } from "./sources.js";
import { openDecoder } from "./y4m.js";

let decoder;

const methods = {
  open(module, source, options) {
    decoder = openDecoder(module, openSource(source), options);
    return decoder.describe(options.metadata);
  },
  rewind: () => decoder.rewind(),
  seek: (n) => decoder.seek(n),
  units: (n) => decoder.units(n),
  frame: (n, options) => decoder.frame(n, options),
};

onmessage = ({ data: { id, method, args } }) => {
  try {
    const result = methods[method](...args);
    const moved = result?.data ? [result.data.buffer] : [];
    if (result?.rgba) moved.push(result.rgba.buffer);
    postMessage({ id, result }, moved);
  } catch (error) {
    const fields = error instanceof NvrcError ? error.fields() : { message: String(error?.message ?? error) };
    postMessage({ id, error: fields });
  }
};
