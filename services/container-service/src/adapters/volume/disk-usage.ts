/** Bytes of a tree as Docker counts them: the sizes of what is no directory, each inode once, one file system. */
import type { BigIntStats } from "node:fs";
import { lstat, opendir } from "node:fs/promises";
import path from "node:path";
import { hasErrno } from "@gantry/errors";

/** 0 when there is nothing. Files that vanish meanwhile don't count. */
export async function diskUsageBytes(root: string, signal: AbortSignal): Promise<bigint> {
  const counted = new Set<string>();
  const first = await lstatOrNothing(root);
  if (first === undefined) return 0n;
  let size = 0n;
  const folders = [root];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    signal.throwIfAborted();
    for await (const name of namesIn(folder)) {
      const file = path.join(folder, name);
      const facts = await lstatOrNothing(file);
      if (facts?.dev !== first.dev) continue;
      if (facts.nlink > 1n && !facts.isDirectory()) {
        const inode = String(facts.ino);
        if (counted.has(inode)) continue;
        counted.add(inode);
      }
      if (facts.isDirectory()) folders.push(file);
      else size += facts.size;
    }
  }
  return size;
}

async function* namesIn(folder: string): AsyncGenerator<string> {
  try {
    for await (const entry of await opendir(folder)) yield entry.name;
  } catch (error) {
    if (!hasErrno(error, "ENOENT")) throw error;
  }
}

async function lstatOrNothing(file: string): Promise<BigIntStats | undefined> {
  try {
    return await lstat(file, { bigint: true });
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
