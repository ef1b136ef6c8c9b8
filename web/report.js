// Reports about a stream: of `nvrc-ref encode --report`, and of `nvrc-ref compare --json`.

import { md5 } from "./md5.js";

/** Larger files are no reports. */
export const REPORT_BYTES_MAX = 1 << 26;
const COMPONENTS_MAX = 64;
const POINTS_MAX = 1000;
const PLANES = ["y", "u", "v", "yuv"];

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const isCount = (value) => Number.isSafeInteger(value) && value > 0;
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function refuse(message) {
  throw Object.assign(new Error(message), { title: "E_REPORT" });
}

function require(holds, what) {
  if (!holds) refuse(`this is no report of encode or compare: ${what}`);
}

function readPsnr(psnr, where) {
  require(isObject(psnr) && isNumber(psnr.y), `${where} has no y`);
  require(PLANES.every((plane) => psnr[plane] == null || isNumber(psnr[plane])), `${where} is no number of dB`);
  return psnr;
}

/** PSNR of luma of each frame; of a segmented encode, the mean of its segment. */
function readFrames(document) {
  const { frames, per_frame: each, segments } = document;
  if (each === undefined && segments === undefined) return null;
  const values = [];
  if (each !== undefined) {
    require(Array.isArray(each) && each.length === frames, `per_frame has not ${frames} frames`);
    each.forEach((one, i) => values.push(readPsnr(one?.psnr, `per_frame ${i}`).y));
    return { span: "frame", values };
  }
  require(Array.isArray(segments), "segments is no list");
  segments.forEach((one, i) => {
    require(isCount(one?.frames) && values.length + one.frames <= frames, `segment ${i} has too many frames`);
    const { y } = readPsnr(one.psnr, `segment ${i}`);
    for (let n = 0; n < one.frames; n++) values.push(y);
  });
  require(values.length === frames, `the segments have ${values.length} frames, not ${frames}`);
  return { span: "segment", values };
}

/** Refuses a report of another stream, before anything in it is taken for a number of frames. */
function checkStream(document, video) {
  const known = { bytes: video.bytes, frames: video.frameCount, width: video.width, height: video.height };
  for (const [name, value] of Object.entries(known)) {
    if (document[name] === undefined) continue;
    require(isCount(document[name]), `${name} is no number`);
    if (document[name] !== value) {
      refuse(`the report is of another stream: it says ${name} ${document[name]}, this stream has ${value}`);
    }
  }
  require(document.frames !== undefined, "it has no number of frames");
}

function readComponents(components) {
  const parts = isObject(components) ? Object.entries(components) : [];
  require(parts.length > 0 && parts.length <= COMPONENTS_MAX, "components are no parts of a stream");
  require(parts.every(([, size]) => isNumber(size) && size >= 0), "components are no numbers of bytes");
  require(parts.some(([, size]) => size > 0), "components are empty");
  return parts;
}

/**
 * What a report says of a video.
 * @param {string} text JSON
 * @param {NvrcVideo} video
 * @returns {{components?: [string, number][], psnr?: object, similarity?: number, digests?: string[],
 *   luma: ({span: "frame" | "segment", values: number[]} | null)}}
 */
export function readReport(text, video) {
  let document;
  try {
    document = JSON.parse(text);
  } catch (error) {
    refuse(`this is no report: it is not JSON (${error.message})`);
  }
  require(isObject(document), "it is no object");
  checkStream(document, video);
  const { frames, components, psnr, ms_ssim_y: similarity, frame_md5s: digests } = document;
  require(components !== undefined || psnr !== undefined, "it has neither components nor psnr");
  const report = { luma: readFrames(document) };
  if (psnr !== undefined) report.psnr = readPsnr(psnr, "psnr");
  if (components !== undefined) report.components = readComponents(components);
  if (isNumber(similarity)) report.similarity = similarity;
  if (digests !== undefined) {
    require(Array.isArray(digests) && digests.length === frames, `frame_md5s has not ${frames} digests`);
    report.digests = digests;
  }
  return report;
}

/** Refuses a report whose digest of a frame is another one. */
export function checkDigest({ digests }, { index, data }) {
  if (digests && digests[index] !== md5(data)) {
    refuse(`the report is of another stream: frame ${index} has another MD5`);
  }
}

/** A graph of values: its points, from 0 to 1 along both axes, y down; of many values, the lowest of every few. */
export function graphOf(values) {
  const each = Math.ceil(values.length / POINTS_MAX);
  const shown = [];
  for (let i = 0; i < values.length; i += each) shown.push(Math.min(...values.slice(i, i + each)));
  const low = Math.min(...shown);
  const high = Math.max(...shown);
  const last = Math.max(shown.length - 1, 1);
  return { low, high, points: shown.map((value, i) => [i / last, high > low ? (high - value) / (high - low) : 0.5]) };
}
