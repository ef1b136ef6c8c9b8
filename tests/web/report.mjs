// node report.mjs CASES.json: what becomes of each report { text, video, frame? }, a line of JSON.
import { readFileSync } from "node:fs";
import { checkDigest, graphOf, readReport } from "../../web/report.js";

for (const { text, video, frame } of JSON.parse(readFileSync(process.argv[2], "utf-8"))) {
  try {
    const report = readReport(text, video);
    if (frame) checkDigest(report, { index: frame.index, data: Uint8Array.from(frame.data) });
    console.log(JSON.stringify({ report, graph: report.luma && graphOf(report.luma.values) }));
  } catch (error) {
    console.log(JSON.stringify({ title: error.title ?? null, error: error.message }));
  }
}
