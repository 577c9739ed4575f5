/**
 * 500 containers started one after another, all of which run on: what the 500th costs is to be what the first did. Only
 * ours is measured; the plot goes to docs/.
 */
import { writeFile } from "node:fs/promises";
import type { Engine } from "./engine.ts";
import { call } from "./engine-api.ts";
import { startOurs } from "./ours.ts";
import { median } from "./statistics.ts";

const count = 500;
/** One point of the plot is the median of so many. */
const group = 10;

/** Title in the output, which a pattern may match. */
export const startPlotTitle = `${String(count)} starts one after another`;

/** Starts, measures, and writes the plot. Returns a line for the reader. */
export async function plotStarts(
  file: string,
  prepare: (engine: Engine) => Promise<void>,
): Promise<string> {
  await using engine = await startOurs();
  await prepare(engine);
  const times: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const name = `crowd-${String(index)}`;
    const begun = performance.now();
    await call(engine, "POST", `/containers/create?name=${name}`, {
      Image: "busybox",
      Cmd: ["sleep", "1000000"],
    });
    await call(engine, "POST", `/containers/${name}/start`);
    times.push(performance.now() - begun);
  }
  await writeFile(file, svgOf(times));
  const first = median(times.slice(0, 100));
  const last = median(times.slice(-100));
  return `${startPlotTitle}: ${first.toFixed(0)} ms each for the first hundred, ${last.toFixed(0)} for the last\n`;
}

const width = 640;
const height = 240;
const margin = 40;

function svgOf(times: readonly number[]): string {
  const points: number[] = [];
  for (let at = 0; at < times.length; at += group) points.push(median(times.slice(at, at + group)));
  const top = Math.ceil(Math.max(...points) / 20) * 20;
  const x = (index: number): number =>
    margin + (index / (points.length - 1)) * (width - 2 * margin);
  const y = (ms: number): number => height - margin - (ms / top) * (height - 2 * margin);
  const line = points.map((ms, index) => `${x(index).toFixed(1)},${y(ms).toFixed(1)}`).join(" ");
  const text = (left: number, bottom: number, words: string, anchor = "middle"): string =>
    `<text x="${String(left)}" y="${String(bottom)}" text-anchor="${anchor}">${words}</text>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${String(width)} ${String(height)}" font-family="sans-serif" font-size="11">`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    `<path d="M${String(margin)} ${String(margin)}V${String(height - margin)}H${String(width - margin)}" fill="none" stroke="#888"/>`,
    text(margin - 6, y(0), "0", "end"),
    text(margin - 6, y(top), `${String(top)} ms`, "end"),
    text(margin, height - margin + 16, "1"),
    text(width - margin, height - margin + 16, String(times.length)),
    text(
      width / 2,
      height - 8,
      `create and start of the nth container (medians of ${String(group)})`,
    ),
    `<polyline points="${line}" fill="none" stroke="#06c" stroke-width="1.5"/>`,
    "</svg>",
    "",
  ].join("\n");
}
