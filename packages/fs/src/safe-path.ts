import path from "node:path";

/** Whether a path is the root or lies under it, by text alone: symbolic links are not looked at. */
export function isInside(root: string, candidate: string): boolean {
  const relative = path.relative(root, candidate);
  return relative !== ".." && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative);
}
