// The table over the picture. Its rows are a label, a value, and whether the row is a part of the one before.

// Slots of chapter 7, with the words of `nvrc-ref info`.
const KINDS = [...Array(4).fill("features"), "planes", ...Array(4).fill("band"), "flow", "blocks"];
const STRIDES = [32, 16, 8, 4, 4, 16, 8, 4, 2, 16, 8];

const bytesOf = (count) => `${count} byte${count === 1 ? "" : "s"}`;
const decibels = (value) => `${value.toFixed(2)} dB`;

/** The number of the GOP that has a frame. */
export function gopAt(gops, frame) {
  let low = 0;
  for (let high = gops.length; high - low > 1; ) {
    const middle = (low + high) >> 1;
    if (gops[middle] <= frame) low = middle;
    else high = middle;
  }
  return low;
}

/** Bytes of frames `first` to `beyond` - 1, and their rate. */
function* sizeRows(label, bytes, { width, height, times }, first, beyond) {
  const samples = width * height * (beyond - first);
  const seconds = times.start(beyond) - times.start(first);
  yield [label, bytesOf(bytes)];
  yield ["bits", `${8 * bytes}`, true];
  yield ["bits per pixel", ((8 * bytes) / samples).toFixed(4), true];
  yield ["kbit/s", ((8 * bytes) / seconds / 1000).toFixed(1), true];
}

function* gopRows(video, gop, units) {
  const beyond = video.gops[gop + 1] ?? video.frameCount;
  if (!units) {
    yield ["this GOP", "..."];
    return;
  }
  if (units instanceof Error) {
    yield ["this GOP", units.message];
    return;
  }
  const bytes = units.reduce((sum, { size }) => sum + size, 0);
  yield* sizeRows("this GOP", bytes, video, video.gops[gop], beyond);
  for (const { name, size, grids = [] } of units) {
    yield [`unit ${name}`, bytesOf(size)];
    for (const grid of grids) {
      yield [`grid ${grid.slot}: ${KINDS[grid.slot]} 1/${STRIDES[grid.slot]}`, bytesOf(grid.bytes), true];
    }
  }
}

function* reportRows(report, frame) {
  const { psnr, luma, components = [], similarity } = report;
  if (luma) yield [`PSNR, this ${luma.span}`, `Y ${decibels(luma.values[frame])}`];
  if (psnr) {
    const planes = ["y", "u", "v", "yuv"].filter((plane) => psnr[plane] != null);
    yield ["PSNR", planes.map((plane) => `${plane.toUpperCase()} ${psnr[plane].toFixed(2)}`).join("  ")];
  }
  if (similarity) yield ["MS-SSIM", `Y ${similarity.toFixed(5)}`];
  const total = components.reduce((sum, [, size]) => sum + size, 0);
  if (components.length) yield ["parts of the stream", bytesOf(Math.round(total))];
  for (const [name, size] of components) yield [name, `${bytesOf(size)}, ${((100 * size) / total).toFixed(1)} %`, true];
}

function* rowsOf({ video, frame, units, report, difference }) {
  const gop = gopAt(video.gops, frame);
  const first = video.gops[gop];
  const beyond = video.gops[gop + 1] ?? video.frameCount;
  yield ["frame", `${frame} of ${video.frameCount}, ${video.times.start(frame).toFixed(3)} s`];
  yield ["GOP", `${gop} of ${video.gops.length}: frames ${first} to ${beyond - 1}`];
  yield ["frame of the GOP", `${frame - first} of ${beyond - first}`];
  yield* gopRows(video, gop, units);
  yield* sizeRows("stream", video.bytes, video, 0, video.frameCount);
  if (difference !== null) yield ["PSNR, A and B", `Y ${decibels(difference)}`];
  if (report) yield* reportRows(report, frame);
}

/**
 * @param {{video: NvrcVideo, frame: number, units: (object[] | Error | undefined), report: (object | null),
 *   difference: (number | null)}} figures units of the frame's GOP, undefined while they are read, or the error;
 *   difference is PSNR of luma between two videos, in dB
 */
export function overlayTable(figures) {
  const table = document.createElement("table");
  for (const [label, value, part = false] of rowsOf(figures)) {
    const row = table.insertRow();
    row.classList.toggle("part", part);
    row.append(document.createElement("th"));
    row.cells[0].textContent = label;
    row.insertCell().textContent = value;
  }
  return table;
}
