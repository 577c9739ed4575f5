/** What running operations need: the garbage collector leaves it alone. Leases do that for longer. */
import type { Digest } from "@gantry/oci";

/** What one operation needs, until it is disposed. */
export interface Hold extends Disposable {
  blob(digest: Digest): void;
  /** A snapshot key; its parents are held with it. */
  snapshot(key: string): void;
}

/** All holds. */
export interface Holds {
  open(): Hold;
  blobs(): Iterable<Digest>;
  snapshots(): Iterable<string>;
}

export function createHolds(): Holds {
  const open = new Set<{ blobs: Set<Digest>; snapshots: Set<string> }>();
  return {
    open() {
      const held = { blobs: new Set<Digest>(), snapshots: new Set<string>() };
      open.add(held);
      return {
        blob: (digest) => held.blobs.add(digest),
        snapshot: (key) => held.snapshots.add(key),
        [Symbol.dispose]() {
          open.delete(held);
        },
      };
    },
    *blobs() {
      for (const held of open) yield* held.blobs;
    },
    *snapshots() {
      for (const held of open) yield* held.snapshots;
    },
  };
}
