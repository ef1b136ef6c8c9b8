// How to show the frames, from METADATA (spec 3.6.1). A malformed entry is ignored, and noted.

const NUMBER = "(0|[1-9][0-9]{0,9})";
const ASPECT = /^([1-9][0-9]{0,9}):([1-9][0-9]{0,9})$/;
const ORIENTATION = /^(?:(flip)(?:,(90|180|270))?|(90|180|270))$/;
const TIME_BASE = /^([1-9][0-9]{0,9})\/([1-9][0-9]{0,9}) (.*)$/s;
const RUN = /^([1-9][0-9]{0,9})(?:\*([1-9][0-9]{0,9}))?$/;
const LIGHT = new RegExp(`^${NUMBER},${NUMBER}$`);
const MASTERING = new RegExp(`^${NUMBER}(?:,${NUMBER}){9}$`);
const TERM_MAX = 2 ** 31 - 1;
const WORD_MAX = 2 ** 32 - 1;
const RUNS_MAX = 65536;
const ALL_RUNS_MAX = 1 << 20;
const NOTES_MAX = 16;

function parseTimes(text) {
  const base = TIME_BASE.exec(text);
  if (!base || Number(base[1]) > TERM_MAX || Number(base[2]) > TERM_MAX) return null;
  const parts = base[3].split(",", RUNS_MAX + 1);
  if (parts.length > RUNS_MAX) return null;
  const tick = Number(base[1]) / Number(base[2]);
  const runs = [];
  let frames = 0;
  let ticks = 0n;
  for (const part of parts) {
    const run = RUN.exec(part);
    const duration = Number(run?.[1]);
    const count = Number(run?.[2] ?? 1);
    if (!run || duration > WORD_MAX || count > WORD_MAX) return null;
    runs.push({ first: frames, start: Number(ticks) * tick, duration: duration * tick });
    frames += count;
    ticks += BigInt(duration) * BigInt(count);
    if (ticks >= 1n << 63n) return null;
  }
  return { runs, frames, end: Number(ticks) * tick };
}

/** The last element of `list` for which `before` holds, which it does for a number of the first ones; or -1. */
function lastWhere(list, before) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (before(list[middle])) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** When each frame is shown, in seconds from the first. */
export class Timeline {
  /** @param {{numerator: number, denominator: number}} rate of frames for which there is no nvrc.times */
  constructor(rate, frameCount) {
    this.frameCount = frameCount;
    this.frameDuration = rate.denominator / rate.numerator;
    this.parts = []; // { first, start, times }
  }

  add(times, first) {
    if (this.parts.at(-1)?.first === first) this.parts.pop();
    this.parts.push({ first, start: this.start(first), times });
  }

  /** Seconds from the first frame to frame n; for the number of frames, the duration of the video. */
  start(n) {
    const part = this.parts[lastWhere(this.parts, (p) => p.first <= n)];
    if (!part) return n * this.frameDuration;
    const { runs, frames, end } = part.times;
    const inside = n - part.first;
    if (inside >= frames) return part.start + end + (inside - frames) * this.frameDuration;
    const run = runs[lastWhere(runs, (r) => r.first <= inside)];
    return part.start + run.start + (inside - run.first) * run.duration;
  }

  duration(n) {
    return this.start(n + 1) - this.start(n);
  }

  get end() {
    return this.start(this.frameCount);
  }

  /** The frame that is shown at a time. */
  frameAt(seconds) {
    let low = 0;
    let high = this.frameCount;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.start(middle) <= seconds) low = middle;
      else high = middle;
    }
    return low;
  }
}

function parseEntry(key, text) {
  if (key === "nvrc.times") return parseTimes(text);
  if (key === "nvrc.sar") {
    const match = ASPECT.exec(text);
    const sides = match?.slice(1).map(Number);
    return sides?.every((side) => side <= TERM_MAX) ? { width: sides[0], height: sides[1] } : null;
  }
  if (key === "nvrc.orientation") {
    const match = ORIENTATION.exec(text);
    return match && { degrees: Number(match[2] ?? match[3] ?? 0), flip: match[1] !== undefined };
  }
  const pattern = { "nvrc.light": LIGHT, "nvrc.mastering": MASTERING }[key];
  const limits = key === "nvrc.light" ? Array(2).fill(65535) : [...Array(8).fill(50000), WORD_MAX, WORD_MAX];
  const numbers = pattern?.test(text) ? text.split(",").map(Number) : null;
  return numbers?.every((number, i) => number <= limits[i]) ? numbers : null;
}

// A Map: a key of METADATA may also be the name of something that every object has, such as "constructor".
const FIELDS = new Map([
  ["nvrc.sar", "sampleAspect"], ["nvrc.orientation", "orientation"], ["nvrc.light", "light"],
  ["nvrc.mastering", "mastering"],
]);

/**
 * @param {{key: string, value: Uint8Array, firstFrame: number}[]} metadata
 * @returns {{times: Timeline, presentation: object}}
 */
export function present(metadata, rate, frameCount) {
  const times = new Timeline(rate, frameCount);
  const presentation = { sampleAspect: null, orientation: null, light: null, mastering: null, ignored: [] };
  let runs = 0;
  const ignore = (key, why) => {
    if (presentation.ignored.length < NOTES_MAX) presentation.ignored.push(`METADATA ${key} is ignored: ${why}`);
  };
  for (const { key, value, firstFrame } of metadata) {
    const field = FIELDS.get(key);
    if (!field && key !== "nvrc.times") continue;
    const entry = parseEntry(key, new TextDecoder("latin1").decode(value));
    if (!entry) {
      ignore(key, "it is malformed");
    } else if (!field) {
      runs += entry.runs.length;
      if (runs > ALL_RUNS_MAX) ignore(key, `the stream has more than ${ALL_RUNS_MAX} runs of durations`);
      else times.add(entry, firstFrame);
    } else if (firstFrame > 0) {
      ignore(key, "it is after the first GOP");
    } else if (presentation[field] === null) {
      presentation[field] = entry;
    }
  }
  return { times, presentation };
}
