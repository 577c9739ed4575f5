/** A full disk, which passes: what it refused may be tried again. */
import { hasErrno } from "@gantry/errors";

/** Whether a disk, or somebody's share of it, was full: by the error or one of its causes. */
export function isNoSpace(error: unknown): boolean {
  for (let link = error; link instanceof Error; link = link.cause) {
    if (hasErrno(link, "ENOSPC") || hasErrno(link, "EDQUOT")) return true;
  }
  return false;
}
