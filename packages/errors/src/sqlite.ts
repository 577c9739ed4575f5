/** Failures of node:sqlite that everybody tells in the same words. */
import { internal } from "./factories.ts";

/** SQLite's result code of a full disk: SQLITE_FULL, https://www.sqlite.org/rescode.html#full. */
export const sqliteFull = 13;

/** A full disk as a write to a file tells of it; any other error as it is. */
export function sqliteError(error: unknown): unknown {
  const full = error instanceof Error && "errcode" in error && error.errcode === sqliteFull;
  return full ? internal("no space left on device", { cause: error }) : error;
}
