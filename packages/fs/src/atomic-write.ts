import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import path from "node:path";

/** Options of writeFileAtomic. */
export interface AtomicWriteOptions {
  /** Permission bits of the new file. Default 0600. */
  readonly mode?: number;
}

/**
 * Replaces a file so that a reader, or a power cut, sees the old bytes or the new ones and never a
 * mixture: temporary file beside it, fsync, rename, fsync of the folder.
 * On an error the old file is untouched and nothing is left beside it.
 */
export async function writeFileAtomic(
  file: string,
  data: string | Uint8Array,
  options: AtomicWriteOptions = {},
): Promise<void> {
  const folder = path.dirname(file);
  const temporary = path.join(folder, `.${path.basename(file)}.${randomBytes(6).toString("hex")}`);
  try {
    const mode = options.mode ?? 0o600;
    await using handle = await open(temporary, "wx", mode);
    await handle.writeFile(data);
    // The umask may have taken bits away that the caller asked for.
    await handle.chmod(mode);
    await handle.sync();
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

/** Makes renames, creations and removals in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, "r");
  await handle.sync();
}
