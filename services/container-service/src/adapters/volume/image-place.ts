/** What an image has at a path. Texts are dockerd's, which name the place on the host. */
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import path from "node:path";
import { hasErrno, internal } from "@gantry/errors";
import type { PathKernel } from "@gantry/native";

/** O_PATH of fcntl.h: whatever is there, without opening it. */
const pathOnly = 0o10000000;

/**
 * An O_PATH descriptor, undefined when there is nothing.
 * @param root descriptor of `view`, the directory that holds the image's file system.
 * Errors: internal (a file on the way).
 */
export function openImagePlace(
  kernel: PathKernel,
  root: number,
  view: string,
  place: string,
): number | undefined {
  try {
    return kernel.openInRoot(root, place, pathOnly, 0);
  } catch (error) {
    if (hasErrno(error, "ENOENT") || hasErrno(error, "ELOOP")) return undefined;
    if (!hasErrno(error, "ENOTDIR")) throw error;
    const below = path.join(view, belowFile(kernel, root, place));
    throw internal(`lstat ${below}: not a directory`, { cause: error });
  }
}

/** The first part of a path that lies below a file. */
function belowFile(kernel: PathKernel, root: number, place: string): string {
  const parts = place.split("/");
  for (let count = 1; count < parts.length; count++) {
    const above = parts.slice(0, count).join("/");
    try {
      closeSync(kernel.openInRoot(root, above === "" ? "/" : above, pathOnly, 0));
    } catch (error) {
      if (hasErrno(error, "ENOTDIR")) return above;
      throw error;
    }
  }
  return place;
}

/** Whether the image has this directory. Errors: internal (it has a file there, or on the way). */
export function hasWorkingFolder(kernel: PathKernel, view: string, folder: string): boolean {
  const root = openSync(view, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const fd = openImagePlace(kernel, root, view, folder);
    if (fd === undefined) return false;
    const isDirectory = fstatSync(fd).isDirectory();
    closeSync(fd);
    if (!isDirectory) throw internal(`Cannot mkdir: ${folder} is not a directory`);
    return true;
  } finally {
    closeSync(root);
  }
}
