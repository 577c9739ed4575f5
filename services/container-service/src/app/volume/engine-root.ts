/**
 * Binds whose source is the engine's data, contains it or lies in it. What the engine mounts there must be
 * unmounted in the container, too, when the engine unmounts it: a copy that keeps it would hold it busy.
 */
import { invalidArgument } from "@gantry/errors";
import type { MountWish } from "../../domain/volume/mount-wish.ts";

/** `rslave` unless something else is asked for. Errors: invalid_argument, in Docker's words. */
export function besideEngineRoot(wish: MountWish, root: string): MountWish {
  const { type, source, propagation } = wish;
  if (type !== "bind" || !(isWithin(source, root) || isWithin(root, source))) return wish;
  if (wish.isPropagationChosen === true) return { ...wish, propagation: "rslave" };
  if (propagation === "rslave" || propagation === "rshared") return wish;
  throw invalidArgument(
    `invalid mount config: must use either propagation mode "rslave" or "rshared" when mount source is within the daemon root, daemon root: ${JSON.stringify(root)}, bind mount source: ${JSON.stringify(source)}, propagation: ${JSON.stringify(propagation)}`,
  );
}

function isWithin(inner: string, outer: string): boolean {
  return inner === outer || inner.startsWith(outer === "/" ? "/" : `${outer}/`);
}
