/** Tells a call that its service broke from one that was refused. */
import { hasKind } from "@gantry/errors";

/**
 * Whether the service went away under a call: killed, it is unavailable; stopped in order, it cancels
 * what is left.
 */
export function isBroken(error: unknown): boolean {
  return hasKind(error, "unavailable") || hasKind(error, "canceled");
}
