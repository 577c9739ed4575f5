/**
 * One supervisor per run root. The lock is SQLite's on a file there: the kernel gives it to one process only and takes
 * it back when that process ends, however it ends. It has no name that a container could take or call, as an abstract
 * socket would have.
 */
import { existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { conflict } from "@gantry/errors";

/** A held lock. */
export type EngineLock = AsyncDisposable;

/** Who only looks holds it for a moment, which is waited for. */
const busyMs = 500;
/** SQLITE_BUSY of sqlite3.h. */
const busy = 5;

const fileOf = (runRoot: string): string => path.join(runRoot, "supervisor.lock");

/** Takes the lock. Throws conflict when another supervisor has it. */
export function takeEngineLock(runRoot: string): Promise<EngineLock> {
  return Promise.try(() => lock(runRoot));
}

function lock(runRoot: string): EngineLock {
  mkdirSync(runRoot, { recursive: true });
  const file = new DatabaseSync(fileOf(runRoot), { timeout: busyMs });
  try {
    file.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    file.close();
    throw isBusy(error) ? conflict("the engine is supervised already", { cause: error }) : error;
  }
  return {
    [Symbol.asyncDispose]() {
      file.close();
      return Promise.resolve();
    },
  };
}

/** Whether a supervisor holds the lock of this run root. */
export function isEngineLocked(runRoot: string): Promise<boolean> {
  return Promise.try(() => isLocked(runRoot));
}

function isLocked(runRoot: string): boolean {
  if (!existsSync(fileOf(runRoot))) return false;
  using file = new DatabaseSync(fileOf(runRoot), { readOnly: true, timeout: 0 });
  try {
    file.exec("SELECT count(*) FROM sqlite_schema");
    return false;
  } catch (error) {
    if (isBusy(error)) return true;
    throw error;
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === busy;
}
