import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/**
 * Gives a file these contents over its own blocks: a full disk does not refuse a file what it already had. Not for
 * what is read meanwhile, or must be whole after a crash (writeFileAtomic). Returns the handle, which the caller closes.
 * @param mode permission bits if it is made, less the umask
 */
export async function openOverwritten(
  file: string,
  text: string,
  mode: number,
): Promise<FileHandle> {
  const handle = await open(file, constants.O_RDWR | constants.O_CREAT, mode);
  try {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; ) {
      at += (await handle.write(bytes, at, bytes.length - at, at)).bytesWritten;
    }
    await handle.truncate(bytes.length);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The same for a file that nobody waits for. */
export async function overwriteFile(file: string, text: string, mode: number): Promise<void> {
  await using _closed = await openOverwritten(file, text, mode);
}
