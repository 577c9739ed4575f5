/**
 * Log files that children write to by themselves, so that lines are not lost with the supervisor.
 *
 *   <data root>/log/<name>.log     now
 *   <data root>/log/<name>.log.1   before
 */
import { copyFileSync, mkdirSync, openSync, statSync, truncateSync } from "node:fs";
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

function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return 0;
    throw error;
  }
}
