/** Packs a tree as a gzip layer blob. */
import { opendir } from "node:fs/promises";
import { type Descriptor, type Digest, mediaTypes } from "@gantry/oci";
import type { Hold } from "./holds.ts";
import type { Store } from "./store.ts";

/** A layer that was packed. */
export interface PackedTree {
  readonly layer: Descriptor;
  readonly diffId: Digest;
}

/** @param directory an overlay upper directory, or a layer's tree */
export async function packTree(
  store: Store,
  hold: Hold,
  directory: string,
  signal: AbortSignal,
): Promise<PackedTree> {
  const isEmpty = await hasNoEntries(directory);
  const known = isEmpty ? store.emptyTree.packed : undefined;
  if (known !== undefined && store.metadata.blobs.has(known.layer.digest)) {
    hold.blob(known.layer.digest);
    return known;
  }
  const packed = await pack(store, hold, directory, signal);
  // All archives of nothing are equal; many steps of builds change no file.
  if (isEmpty) store.emptyTree.packed = packed;
  return packed;
}

async function hasNoEntries(directory: string): Promise<boolean> {
  await using entries = await opendir(directory);
  return (await entries.read()) === null;
}

async function pack(
  store: Store,
  hold: Hold,
  directory: string,
  signal: AbortSignal,
): Promise<PackedTree> {
  const { digest, sizeBytes, diffId } = await store.content.receive(async (file) => {
    const packed = await store.program.pack({ directory, file, signal });
    return { ...packed, sizeBytes: packed.compressedBytes };
  });
  hold.blob(digest);
  store.metadata.change((change) => {
    change.putBlob({ digest, sizeBytes });
  });
  return { layer: { mediaType: mediaTypes.ociLayerGzip, digest, size: sizeBytes }, diffId };
}
