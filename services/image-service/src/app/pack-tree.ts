/** Packs a tree as a gzip layer blob. */
import { opendir } from "node:fs/promises";
import { type Descriptor, type Digest, mediaTypes, sha256Digest } from "@gantry/oci";
import type { Hold } from "./holds.ts";
import type { Store } from "./store.ts";

/** A layer that was packed. */
export interface PackedTree {
  readonly layer: Descriptor;
  readonly diffId: Digest;
}

/**
 * @param directory an overlay upper directory, or a layer's tree
 * @param like blobs that may have much in common with it
 */
export async function packTree(
  store: Store,
  hold: Hold,
  directory: string,
  signal: AbortSignal,
  like: readonly Digest[] = [],
): Promise<PackedTree> {
  const isEmpty = await hasNoEntries(directory);
  const known = isEmpty ? store.emptyTree.packed : undefined;
  if (known !== undefined && store.metadata.blobs.has(known.layer.digest)) {
    hold.blob(known.layer.digest);
    return known;
  }
  const packed = await pack(store, hold, { directory, signal, like });
  // Many steps of builds change no file. A running container may have changed one since we looked.
  if (packed.diffId === emptyArchive) store.emptyTree.packed = packed;
  return packed;
}

/** A tar of nothing: its end alone, two blocks of zeros (POSIX.1-2017, pax, "ustar Interchange Format"). */
const emptyArchive = sha256Digest(new Uint8Array(1024));

async function hasNoEntries(directory: string): Promise<boolean> {
  await using entries = await opendir(directory);
  return (await entries.read()) === null;
}

async function pack(
  store: Store,
  hold: Hold,
  request: {
    readonly directory: string;
    readonly signal: AbortSignal;
    readonly like: readonly Digest[];
  },
): Promise<PackedTree> {
  const { directory, signal } = request;
  const like = request.like.filter((digest) => store.metadata.blobs.has(digest));
  for (const digest of like) hold.blob(digest);
  const { digest, sizeBytes, diffId } = await store.content.receive(like, async (files) => {
    const packed = await store.program.pack({ directory, files, signal });
    return { ...packed, sizeBytes: packed.compressedBytes };
  });
  hold.blob(digest);
  store.metadata.change((change) => {
    change.putBlob({ digest, sizeBytes });
  });
  return { layer: { mediaType: mediaTypes.ociLayerGzip, digest, size: sizeBytes }, diffId };
}
