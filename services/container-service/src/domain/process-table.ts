/** Output of ps(1) as a table, with the rows of some processes. */
import { internal } from "@gantry/errors";

export interface ProcessTable {
  readonly titles: readonly string[];
  readonly processes: readonly (readonly string[])[];
}

/** Rows whose PID is one of these. Throws internal when there is no column PID. */
export function filterProcesses(output: string, pids: ReadonlySet<number>): ProcessTable {
  const [head = "", ...lines] = output.split("\n").filter((line) => line.trim() !== "");
  const titles = head.trim().split(/\s+/);
  const column = titles.indexOf("PID");
  if (column === -1) throw internal("Couldn't find PID field in ps output");
  const processes = lines
    .map((line) => fields(line, titles.length))
    .filter((row) => pids.has(Number(row[column])));
  return { titles, processes };
}

/** The last column (the command) holds blanks itself. */
function fields(line: string, count: number): string[] {
  const words = line.trim().split(/\s+/);
  if (words.length <= count) return words;
  return [...words.slice(0, count - 1), words.slice(count - 1).join(" ")];
}
