import path from "node:path";
import { invalidArgument } from "@gantry/errors";

/**
 * Joins a relative path from outside to a root, by text alone. Throws invalid_argument when the
 * result would leave the root, or when the path holds a NUL. Does not look at symbolic links: inside
 * a container's root use the native openInRoot.
 */
export function joinInside(root: string, untrusted: string): string {
  if (untrusted.includes("\0")) throw invalidArgument("path contains a NUL byte");
  const joined = path.join(root, untrusted);
  if (!isInside(root, joined)) throw invalidArgument(`path leaves its root: ${untrusted}`);
  return joined;
}

/** Whether a path is the root or lies under it, by text alone. */
export function isInside(root: string, candidate: string): boolean {
  const relative = path.relative(root, candidate);
  return relative !== ".." && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative);
}
