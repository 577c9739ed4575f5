/**
 * Who a process is, across restarts of the supervisor: PID and start time together, since the kernel
 * gives a PID to somebody else one day.
 */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { hasErrno } from "@gantry/errors";
import { writeFileAtomic } from "@gantry/fs";

/** One process. */
export interface ProcessRecord {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat: clock ticks since boot. */
  readonly startTicks: number;
  /** Another boot means that the process is gone, whatever the numbers say. */
  readonly bootId: string;
}

/** Describes a process that runs now; undefined when there is none. */
export function describeProcess(pid: number): ProcessRecord | undefined {
  const startTicks = readStartTicks(pid);
  return startTicks === undefined ? undefined : { pid, startTicks, bootId: readBootId() };
}

/** Whether exactly this process still runs (a zombie does not). */
export function isAlive(record: ProcessRecord): boolean {
  return record.bootId === readBootId() && readStartTicks(record.pid) === record.startTicks;
}

/** Writes a record to `<folder>/<name>.json`. */
export async function saveRecord(
  folder: string,
  name: string,
  record: ProcessRecord,
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  await writeFileAtomic(path.join(folder, `${name}.json`), JSON.stringify(record));
}

/** Reads a record; undefined when there is none, or none that we wrote. */
export function loadRecord(folder: string, name: string): ProcessRecord | undefined {
  try {
    return parseRecord(JSON.parse(readFileSync(path.join(folder, `${name}.json`), "utf8")));
  } catch (error) {
    if (hasErrno(error, "ENOENT") || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Forgets a record. */
export function removeRecord(folder: string, name: string): void {
  rmSync(path.join(folder, `${name}.json`), { force: true });
}

function parseRecord(value: unknown): ProcessRecord | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { pid, startTicks, bootId } = value as Record<string, unknown>;
  if (typeof pid !== "number" || typeof startTicks !== "number" || typeof bootId !== "string") {
    return undefined;
  }
  return { pid, startTicks, bootId };
}

function readStartTicks(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, "utf8");
    // The command name, in parentheses, may hold blanks and parentheses itself.
    const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" || state === "X" ? undefined : Number(fields[18]);
  } catch (error) {
    if (hasErrno(error, "ENOENT") || hasErrno(error, "ESRCH")) return undefined;
    throw error;
  }
}

function readBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
