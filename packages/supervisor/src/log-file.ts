/**
 * Log files that children write to by themselves, so that lines are not lost with the supervisor.
 *
 *   <data root>/log/<name>.log     now
 *   <data root>/log/<name>.log.1   before
 */
import {
  closeSync,
  copyFileSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  statSync,
  truncateSync,
} from "node:fs";
import path from "node:path";
import { hasErrno } from "@gantry/errors";

/** A file bigger than this is put aside. */
const maxLogBytes = 32 * 1024 * 1024;

/** Path of a process's log. */
export const logPath = (dataRoot: string, name: string): string =>
  path.join(dataRoot, "log", `${name}.log`);

/** Opens a log for appending and returns the descriptor, which the caller closes. */
export function openLog(dataRoot: string, name: string): number {
  const file = logPath(dataRoot, name);
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  rotateLog(dataRoot, name);
  return openSync(file, "a", 0o600);
}

/**
 * Puts a big log aside. The writer keeps its descriptor: the file is copied and emptied, and since it
 * is open for appending the next line lands at the new end. A line written in between may be lost.
 */
export function rotateLog(dataRoot: string, name: string): void {
  const file = logPath(dataRoot, name);
  if (sizeOf(file) <= maxLogBytes) return;
  copyFileSync(file, `${file}.1`);
  truncateSync(file);
}

/** So much of a log's end is looked at. */
const tailBytes = 64 * 1024;

/** What a process of ours told as the reason of its end; undefined when it told none, or not lately. */
export function lastWords(
  dataRoot: string,
  name: string,
  pid: number | undefined,
): string | undefined {
  for (const line of tailOf(logPath(dataRoot, name)).split("\n").toReversed()) {
    const reason = reasonIn(line, pid);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function reasonIn(line: string, pid: number | undefined): string | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const entry = JSON.parse(line) as { level?: unknown; pid?: unknown; err?: unknown };
    if (entry.level !== "fatal" || entry.pid !== pid) return undefined;
    const { message } = (entry.err ?? {}) as { message?: unknown };
    return typeof message === "string" ? message : undefined;
  } catch {
    // Cut off, or another's.
    return undefined;
  }
}

function tailOf(file: string): string {
  const descriptor = openSync(file, "r");
  try {
    const { size } = fstatSync(descriptor);
    const bytes = Buffer.alloc(Math.min(size, tailBytes));
    const read = readSync(descriptor, bytes, 0, bytes.length, size - bytes.length);
    return bytes.subarray(0, read).toString("utf8");
  } finally {
    closeSync(descriptor);
  }
}

function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return 0;
    throw error;
  }
}
