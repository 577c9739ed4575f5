/** Results as JSON and as a Markdown table, and the README's copy of the latest table. */
import { readFile, writeFile } from "node:fs/promises";
import { cpus, release, totalmem } from "node:os";
import type { TimedResult } from "./measure.ts";
import { median } from "./statistics.ts";

/** A figure that is not a time. */
export interface MemoryResult {
  readonly title: string;
  /** Of the ratio, where that is what counts. */
  readonly goal?: number;
  /** Of our own figure, whatever the peer's. */
  readonly limitKiB?: number;
  readonly oursKiB: number;
  readonly peerKiB: number;
}

/** Everything that one benchmark run found. */
export interface BenchReport {
  readonly takenAt: string;
  readonly machine: string;
  readonly oursVersion: string;
  readonly peerVersion: string;
  readonly cliStartMs: number;
  readonly times: readonly TimedResult[];
  readonly memory: readonly MemoryResult[];
}

/** The machine in one line. */
export function describeMachine(): string {
  const processors = cpus();
  return `${String(processors.length)} × ${processors[0]?.model ?? "unknown"}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}`;
}

/** The report as Markdown. */
export function toMarkdown(report: BenchReport): string {
  const lines = [
    `Taken ${report.takenAt.slice(0, 10)} on ${report.machine}. Gantry ${report.oursVersion} against dockerd ${report.peerVersion}, interleaved;`,
    `medians; "net" rows have the CLI's own start (${report.cliStartMs.toFixed(0)} ms) taken off both sides before the ratio is made.`,
    "",
    "| what | Gantry | dockerd | ratio | goal |",
    "|---|---|---|---|---|",
    ...report.times.map((row) => {
      const title = row.net ? `${row.title} (net)` : row.title;
      return `| ${title} | ${median(row.oursMs).toFixed(0)} ms | ${median(row.peerMs).toFixed(0)} ms | ${row.ratio.toFixed(2)} | ≤ ${String(row.goal)} |`;
    }),
    ...report.memory.map((row) => {
      const ratio = row.oursKiB / row.peerKiB;
      return `| ${row.title} | ${mebibytes(row.oursKiB)} MiB | ${mebibytes(row.peerKiB)} MiB | ${ratio.toFixed(2)} | ${memoryGoal(row)} |`;
    }),
  ];
  return `${lines.join("\n")}\n`;
}

function memoryGoal({ goal, limitKiB }: MemoryResult): string {
  return limitKiB === undefined ? `≤ ${String(goal)}` : `≤ ${mebibytes(limitKiB)} MiB`;
}

function mebibytes(kib: number): string {
  return (kib / 1024).toFixed(kib < 10 * 1024 ? 2 : 0);
}

const begin = "<!-- bench:begin -->";
const end = "<!-- bench:end -->";

/** Puts the table between the marks of a Markdown file. */
export async function updateTable(file: string, markdown: string): Promise<void> {
  const text = await readFile(file, "utf8");
  const [head, rest] = text.split(begin);
  const tail = rest?.split(end)[1];
  if (head === undefined || tail === undefined) throw new Error(`${file} has no ${begin} … ${end}`);
  await writeFile(file, `${head}${begin}\n${markdown}${end}${tail}`);
}
