/** Removal of trees that others have filled: of a million files as of ten. */
import { opendir, rmdir, unlink } from "node:fs/promises";
import path from "node:path";
import { hasErrno } from "@gantry/errors";

/** So many files are removed at a time. */
const batchSize = 64;

/**
 * Removes a file or a folder with all that is in it; nothing there is fine. Links are not followed.
 * Memory does not grow with the number of files, as that of Node's own `rm` does (2 KiB each, all at
 * once). Errors: those of unlink(2), rmdir(2) and open(2), with their errno.
 */
export async function removeTree(target: string): Promise<void> {
  try {
    // A link to a folder is a file here: opendir would follow it.
    await unlink(target);
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return;
    if (!hasErrno(error, "EISDIR")) throw error;
    await removeFolder(target);
  }
}

async function removeFolder(folder: string): Promise<void> {
  for (;;) {
    const removed = await removeEntries(folder);
    try {
      await rmdir(folder);
      return;
    } catch (error) {
      // A file system may pass over entries while others are removed: as long as there are some, again.
      if (!hasErrno(error, "ENOTEMPTY") || removed === 0) throw error;
    }
  }
}

/** Returns how many there were. */
async function removeEntries(folder: string): Promise<number> {
  let count = 0;
  let files: string[] = [];
  for await (const entry of await opendir(folder)) {
    count += 1;
    const name = path.join(folder, entry.name);
    if (entry.isDirectory()) await removeFolder(name);
    else if (files.push(name) === batchSize) {
      await Promise.all(files.map(unlinkIfThere));
      files = [];
    }
  }
  await Promise.all(files.map(unlinkIfThere));
  return count;
}

async function unlinkIfThere(file: string): Promise<void> {
  try {
    await unlink(file);
  } catch (error) {
    if (!hasErrno(error, "ENOENT")) throw error;
  }
}
