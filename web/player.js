// The page player.html: shows a video or two, and lets people go through it.

import { Pair, lumaPsnr } from "./compare.js";
import { NvrcVideo } from "./nvrc.js";
import { gopAt, overlayTable } from "./overlay.js";
import { Playback } from "./playback.js";
import { REPORT_BYTES_MAX, checkDigest, graphOf, readReport } from "./report.js";
import { Screen } from "./screen.js";

const $ = (id) => document.getElementById(id);
const MARKS_MAX = 400;

const screen = new Screen($("canvas"));
let playback = null;
let files = []; // what is open: { source, name }, of one video or two
let shown = null; // the frame that is shown
let units = new Map(); // number of a GOP -> its units, undefined while they are read
let report = null;
let beside = false; // whether the file that is being chosen is compared with what is open
let opening = 0; // counts what was opened, so that an answer that comes late is not taken

function clock(seconds) {
  const whole = Math.floor(seconds + 1e-9);
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, "0"));
  const fraction = String(Math.floor((seconds - whole) * 1000 + 1e-6)).padStart(3, "0");
  return `${whole >= 3600 ? `${Math.floor(whole / 3600)}:` : ""}${parts.join(":")}.${fraction}`;
}

function describeFormat(video) {
  const { width, height, chromaFormat, bitDepth, rate, profile, gops } = video;
  const fps = Number((rate.numerator / rate.denominator).toFixed(3));
  const count = `${gops.length} GOP${gops.length === 1 ? "" : "s"}`;
  return [`${width}x${height}`, `${fps} fps`, chromaFormat, `${bitDepth} bits`, profile, count].join(", ");
}

/** The video, of two the first one. */
function mainVideo() {
  return playback.video.videos?.[0] ?? playback.video;
}

function showError(error) {
  $("busy").hidden = true;
  $("empty").hidden = true;
  $("error").hidden = false;
  const { code, cause, file, offset, requirement, section, sentence, title, unit } = error;
  const say = (part, text) => ($("error").querySelector(part).textContent = text);
  const where = `spec ${section}${requirement ? `, ${requirement}` : ""}`;
  say(".file", file ?? "");
  say(".code", code ?? title ?? "Error");
  say(".sentence", code ? `Required: ${sentence}${cause ? `: ${cause}` : ""}` : error.message);
  say(".place", code ? `${unit === "stream" ? "" : `${unit}, `}byte ${offset} (${where})` : "");
}

function enable(on) {
  const controls = $("controls").querySelectorAll("button:not(.text), input, select");
  for (const control of [...controls, $("compare")]) control.disabled = !on;
}

function showMarks(video) {
  const last = Math.max(video.frameCount - 1, 1);
  const gops = video.gops.length <= MARKS_MAX ? video.gops : [];
  $("marks").replaceChildren(...gops.map((first) => {
    const mark = document.createElement("i");
    mark.style.left = `${(100 * first) / last}%`;
    return mark;
  }));
}

/** Draws the graph of the report. */
function showGraph() {
  const luma = report?.luma;
  $("graph").hidden = !luma;
  if (!luma) return;
  luma.graph = graphOf(luma.values);
  const text = luma.graph.points.map(([x, y]) => `${x.toFixed(5)},${y.toFixed(4)}`).join(" ");
  $("graph").querySelector("polyline").setAttribute("points", text);
  showLuma();
}

/** Says what the graph is at the frame that is shown. */
function showLuma() {
  if (!report?.luma || !shown) return;
  const { graph, span, values } = report.luma;
  const mean = span === "frame" ? "" : `, mean of the ${span}`;
  const range = `${graph.low.toFixed(2)} to ${graph.high.toFixed(2)}`;
  $("graph").querySelector("output").value = `PSNR Y ${values[shown.index].toFixed(2)} dB${mean} (${range})`;
}

/** The units of a GOP, which are read at the first call; undefined until then. */
function unitsOf(video, gop) {
  if (!units.has(gop)) {
    const read = units;
    read.set(gop, undefined);
    video.units(gop).catch((error) => error).then((found) => {
      read.set(gop, found);
      if (read === units) showOverlay();
    });
  }
  return units.get(gop);
}

function showOverlay() {
  if ($("overlay").hidden || !shown) return;
  const video = mainVideo();
  const { index, other } = shown;
  const alike = other && playback.video.videos[1].bitDepth === video.bitDepth;
  const difference = alike ? lumaPsnr(shown.y, other.y, video.bitDepth) : null;
  const figures = { video, frame: index, units: unitsOf(video, gopAt(video.gops, index)), report, difference };
  $("overlay").replaceChildren(overlayTable(figures));
}

function showSplit() {
  const column = Number($("split").value);
  screen.split = column;
  $("split").setAttribute("aria-valuetext", `A left of column ${column} of ${$("split").max}, B right of it`);
}

function moveSplit(column) {
  $("split").value = column;
  showSplit();
}

/** Prepares the picture for a video, or for two. */
function fitPicture(video) {
  $("picture").style.setProperty("--shape", screen.fit(video));
  const both = files.length > 1;
  for (const id of ["split", "tag-a", "tag-b"]) $(id).hidden = !both;
  if (!both) return;
  $("split").max = $("canvas").width;
  $("tag-a").textContent = `A: ${files[0].name}`;
  $("tag-b").textContent = `B: ${files[1].name}`;
  moveSplit(screen.column);
}

function showFrame(frame) {
  const { video } = playback;
  shown = frame;
  $("error").hidden = true;
  $("picture").hidden = false;
  screen.draw(...(frame.other ? [frame.rgba, frame.other.rgba] : [frame.rgba]));
  $("bar").value = frame.index;
  $("bar").style.setProperty("--done", `${(100 * frame.index) / Math.max(video.frameCount - 1, 1)}%`);
  $("time").value = `${clock(frame.time)} / ${clock(video.times.start(video.frameCount))}`;
  $("number").value = `frame ${frame.index} of ${video.frameCount}`;
  showOverlay();
  showLuma();
}

function showState() {
  const { playing } = playback;
  $("play").classList.toggle("playing", playing);
  $("play").ariaLabel = playing ? "Pause" : "Play";
  $("play").title = `${$("play").ariaLabel} (space)`;
  $("loop").setAttribute("aria-pressed", playback.loop);
}

function showSpeed(now) {
  requestAnimationFrame(showSpeed);
  const speed = playback?.framesPerSecond(now);
  $("speed-shown").value = playback?.playing && speed ? `${speed.toFixed(1)} fps` : "";
}

/** Opens the second file beside a video. Where that fails, the video is shown alone, and `fault` says why. */
async function addSecond(first, [a, b]) {
  let second = null;
  try {
    second = await NvrcVideo.open(b.source, { metadata: "all", y4m: { matrix: first.colour.matrix } });
    return { video: new Pair(first, second, [a.name, b.name]), fault: null };
  } catch (error) {
    second?.close();
    return { video: first, fault: Object.assign(error, { file: b.name }) };
  }
}

/** Opens one file or two. */
async function openVideo(wanted) {
  const first = await NvrcVideo.open(wanted[0].source, { metadata: "all" });
  return wanted.length > 1 ? addSecond(first, wanted) : { video: first, fault: null };
}

function forget() {
  playback?.close();
  playback = null;
  shown = null;
  units = new Map();
  enable(false);
  for (const id of ["empty", "error", "picture"]) $(id).hidden = true;
  $("busy").hidden = false;
  $("marks").replaceChildren();
  $("overlay").replaceChildren();
  for (const id of ["time", "number"]) $(id).value = "";
  for (const id of ["format", "note"]) $(id).textContent = "";
}

/**
 * Closes what is open, and opens one video, or two to compare.
 * @param {{source: (string | Blob | Uint8Array), name: string}[]} wanted
 * @param {number} from the frame to show
 */
async function open(wanted, from = 0) {
  const mine = ++opening;
  if (wanted[0] !== files[0]) report = null;
  files = wanted;
  forget();
  showGraph();
  const name = wanted.map((file) => file.name).join(" | ");
  $("name").textContent = name;
  document.title = name ? `${name} - nvrc player` : "nvrc player";
  try {
    const { video, fault } = await openVideo(wanted);
    if (mine !== opening) return video.close();
    if (fault) files = [wanted[0]];
    playback = new Playback(video, { show: showFrame, state: showState, error: showError });
    playback.speed = Number($("speed").value);
    $("name").textContent = files.map((file) => file.name).join(" | ");
    $("format").textContent = describeFormat(mainVideo());
    $("note").textContent = video.note ?? "";
    fitPicture(mainVideo());
    $("bar").max = video.frameCount - 1;
    showMarks(mainVideo());
    await playback.seek(from);
    if (mine !== opening) return undefined;
    $("busy").hidden = true;
    enable(true);
    if (fault) showError(fault);
  } catch (error) {
    if (mine === opening) showError(error);
  }
  return undefined;
}

/** Adds what a report says to what is known of the video. */
function attach(text, name) {
  try {
    if (!playback) throw new Error("open the stream first, and then its report");
    const added = readReport(text, mainVideo());
    if (shown) checkDigest(added, shown);
    report = { ...report, ...added, luma: added.luma ?? report?.luma ?? null };
    showGraph();
    showOverlay();
  } catch (error) {
    showError(Object.assign(error, { file: name }));
  }
}

/** Takes files that were chosen or dropped: one video or two, and reports. y4m is shown beside what is open. */
async function take(list, asSecond) {
  const named = [...list].map((source) => ({ source, name: source.name }));
  const endsIn = (suffix) => (file) => file.name.toLowerCase().endsWith(suffix);
  const reports = named.filter(endsIn(".json"));
  const raw = named.filter(endsIn(".y4m"));
  const videos = [...named.filter((file) => !reports.includes(file) && !raw.includes(file)), ...raw];
  const joins = playback && videos.length === 1 && (asSecond || raw.length === 1);
  if (videos.length > 2) return showError(new Error("one video is played, or two are compared: these are more"));
  if (raw.length && raw.length === videos.length && !joins) {
    return showError(new Error("a y4m file is shown beside a stream: open the stream first"));
  }
  if (videos.length) await open(joins ? [files[0], ...videos] : videos, joins ? playback.position : 0);
  for (const { source, name } of reports) {
    const fault = source.size > REPORT_BYTES_MAX ? new Error("this is too large for a report") : null;
    if (fault) showError(Object.assign(fault, { file: name }));
    else attach(await source.text(), name);
  }
  return undefined;
}

function choose(second) {
  beside = second;
  $("file").click();
}

const actions = {
  play: () => (playback.playing ? playback.pause() : playback.play()),
  back: () => playback.step(-1),
  forward: () => playback.step(1),
  loop() {
    playback.loop = !playback.loop;
    showState();
  },
  fullscreen: () => (document.fullscreenElement ? document.exitFullscreen() : $("player").requestFullscreen()),
  info() {
    $("overlay").hidden = !$("overlay").hidden;
    $("info").setAttribute("aria-pressed", !$("overlay").hidden);
    showOverlay();
  },
  a: () => moveSplit($("split").max),
  b: () => moveSplit(0),
  both: () => moveSplit(Math.round($("split").max / 2)),
  open: () => choose(false),
  compare: () => choose(true),
};

const KEYS = { " ": "play", ",": "back", ".": "forward", f: "fullscreen", i: "info", l: "loop" };
const SPLIT_KEYS = { a: "a", b: "b", s: "both" };
const JUMPS = { ArrowLeft: -5, ArrowRight: 5 };

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || !playback) return;
  const button = event.target.closest?.("button");
  if (event.target.closest?.("select") || (button && [" ", "Enter"].includes(event.key))) return;
  const { video, position } = playback;
  // Arrows move what has the focus, if that is the split or the figures.
  const moves = event.target === $("split") || event.target === $("overlay");
  if (moves && /^(Arrow|Page|Home|End)/.test(event.key)) return;
  if (SPLIT_KEYS[event.key] && !$("split").hidden) actions[SPLIT_KEYS[event.key]]();
  else if (KEYS[event.key]) actions[KEYS[event.key]]();
  else if (JUMPS[event.key]) playback.seek(video.times.frameAt(video.times.start(position) + JUMPS[event.key]));
  else if (event.key === "Home") playback.seek(0);
  else if (event.key === "End") playback.seek(video.frameCount - 1);
  else return;
  event.preventDefault();
}

function listen() {
  for (const button of document.querySelectorAll("[data-action]")) {
    button.addEventListener("click", () => actions[button.dataset.action]());
  }
  document.addEventListener("keydown", onKey, { capture: true });
  $("canvas").addEventListener("click", () => playback && actions.play());
  $("bar").addEventListener("input", () => playback.seek(Number($("bar").value)));
  $("speed").addEventListener("change", () => (playback.speed = Number($("speed").value)));
  $("split").addEventListener("input", showSplit);
  $("file").addEventListener("change", () => {
    const chosen = [...$("file").files];
    $("file").value = "";
    take(chosen, beside);
  });
  const stage = $("stage");
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    stage.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget ?? stage.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("dropping");
    take(event.dataTransfer.files, false);
  });
  requestAnimationFrame(showSpeed);
}

listen();
/** Opens what the page came with: an exported page has it inside, a server says in the address where it is. */
async function begin() {
  const asked = new URLSearchParams(location.search);
  const videos = asked.getAll("stream").map((source, i) => ({ source, name: asked.getAll("name")[i] ?? source }));
  const given = globalThis.nvrcPage ?? { videos, reports: [] };
  if (given.videos.length) await open(given.videos.slice(0, 2));
  for (const { text, name } of given.reports) attach(text, name);
  for (const [i, source] of asked.getAll("report").entries()) {
    const name = asked.getAll("reported")[i] ?? source;
    await fetch(source).then((answer) => answer.text()).then((text) => attach(text, name), showError);
  }
}

begin();

/** What tests look at. */
globalThis.nvrcPlayer = {
  open,
  get playback() {
    return playback;
  },
};
