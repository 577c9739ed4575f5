/** How large what comes from outside may become. */
import { statfs } from "node:fs/promises";
import type { UnpackLimits } from "../ports/layers.ts";

/**
 * No real layer shrinks more than gzip's 1032 to 1 allows, and no other compression is let to do
 * more than twice that (beyond the program's first 64 MiB): bzip2 and zstd could do a million.
 */
const maxRatio = 2000;

/** Files and directories of one layer; the largest real ones have a tenth of it. */
const maxEntries = 3_000_000;

/** Limits for unpacking into a file system with its present free space, of which a tenth is kept. */
export async function unpackLimits(directory: string): Promise<UnpackLimits> {
  const { bavail, bsize } = await statfs(directory);
  const maxBytes = Math.max(1024 * 1024, Math.floor(bavail * bsize * 0.9));
  return { maxBytes, maxEntries, maxRatio };
}
