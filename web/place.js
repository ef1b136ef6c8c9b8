// Where the other files of this package are, and what kind of script the worker is.
export const workerUrl = new URL("./worker.js", import.meta.url);
export const workerType = "module";
export const wasmUrl = new URL("./nvrc.wasm", import.meta.url);
