/** Removal of trees that others have filled: of a million files as of ten. */
import { loadKernel } from "./load.ts";

/** A thread that others wait for, too, removes so many entries at a time. */
const entriesAtATime = 1024;

/**
 * Removes a file or a folder with all that is in it; nothing there is fine. Links are not followed, what is mounted
 * inside is not entered. Neither the number of files nor the depth costs memory. Errors: those of the system calls
 * (unlinkat(2), openat2(2): EXDEV for a mount), with their errno.
 */
export async function removeTree(target: string): Promise<void> {
  const kernel = loadKernel();
  while (!(await kernel.removeTreePart(target, entriesAtATime)));
}
