import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

/** A folder that goes away with its scope: `await using dir = await openTempDir("pull-")`. */
export interface TempDir extends AsyncDisposable {
  readonly path: string;
  /** Removes the folder now. A second call does nothing. */
  close(): Promise<void>;
}

/** Makes an empty folder of our own (0700) under `parent`, by default the system's temp folder. */
export async function openTempDir(prefix: string, parent: string = tmpdir()): Promise<TempDir> {
  const folder = await mkdtemp(path.join(parent, prefix));
  const close = (): Promise<void> => rm(folder, { recursive: true, force: true });
  return { path: folder, close, [Symbol.asyncDispose]: close };
}
