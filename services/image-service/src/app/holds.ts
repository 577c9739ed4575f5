/** What running operations need: the garbage collector leaves it alone. Leases do that for longer. */
import type { Digest } from "@gantry/oci";

/** What one operation needs, until it is disposed. */
export interface Hold extends Disposable {
  blob(digest: Digest): void;
  /** An image's index or manifest, with all that it refers to, even if its record goes. */
  image(digest: Digest): void;
  /** A snapshot key; its parents are held with it. */
  snapshot(key: string): void;
}

/** All holds. */
export interface Holds {
  open(): Hold;
  blobs(): Iterable<Digest>;
  images(): Iterable<Digest>;
  snapshots(): Iterable<string>;
}

/** @param released is told of the images of a hold that is disposed: they may be nobody's by now */
export function createHolds(released: (images: ReadonlySet<Digest>) => void): Holds {
  const open = new Set<ReturnType<typeof nothing>>();
  return {
    open() {
      const held = nothing();
      open.add(held);
      return {
        blob: (digest) => held.blobs.add(digest),
        image: (digest) => held.images.add(digest),
        snapshot: (key) => held.snapshots.add(key),
        [Symbol.dispose]() {
          if (open.delete(held)) released(held.images);
        },
      };
    },
    *blobs() {
      for (const held of open) yield* held.blobs;
    },
    *images() {
      for (const held of open) yield* held.images;
    },
    *snapshots() {
      for (const held of open) yield* held.snapshots;
    },
  };
}

function nothing() {
  return { blobs: new Set<Digest>(), images: new Set<Digest>(), snapshots: new Set<string>() };
}
