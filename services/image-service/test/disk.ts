/** What a service has on its disk. */
import { globSync, readdirSync } from "node:fs";
import path from "node:path";

/** What is kept of images in a service's data folder, of an empty store nothing. */
export interface OnDisk {
  /** SHA-256 in hex. */
  readonly blobs: readonly string[];
  /** Numbers. */
  readonly snapshots: readonly string[];
}

/** Nothing of any image. */
export const emptyDisk: OnDisk = { blobs: [], snapshots: [] };

export function onDisk(dataDir: string): OnDisk {
  const list = (folder: string): string[] => readdirSync(path.join(dataDir, folder));
  return {
    blobs: list("content/blobs/sha256"),
    snapshots: list("snapshots").filter((name) => !["base", "empty", ".trash"].includes(name)),
  };
}

/** What is being deleted, or kept for a day. */
export function inTrash(dataDir: string): string[] {
  return globSync(["content/.trash/*", "snapshots/.trash/*"], { cwd: dataDir });
}
