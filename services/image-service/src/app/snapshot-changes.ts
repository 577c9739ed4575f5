/** `docker diff`. */
import type { ChangedPath } from "../ports/layers.ts";
import { lowerTrees, readSnapshot } from "./snapshots.ts";
import type { Store } from "./store.ts";

/** Changes of a writable snapshot against what is below it, sorted by path. */
export async function snapshotChanges(
  store: Store,
  key: string,
  signal: AbortSignal,
): Promise<readonly ChangedPath[]> {
  using hold = store.holds.open();
  hold.snapshot(key);
  const changes = await readSnapshot(store, key, async (record) =>
    record.kind === "view"
      ? []
      : store.program.changes({
          upper: store.dirs.treeOf(record.id),
          lowers: lowerTrees(store, record),
          signal,
        }),
  );
  return [...changes].sort((one, other) => (one.path < other.path ? -1 : 1));
}
