/** Packs a tree as a gzip layer blob. */
import { randomUUID } from "node:crypto";
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
  const ingest = await store.content.ingest(`pack ${randomUUID()}`);
  try {
    const packed = await store.program.pack({
      directory,
      onBytes: (chunk) => ingest.append([chunk]),
      signal,
    });
    const { digest } = packed;
    const blob = await ingest.commit({ digest, sizeBytes: packed.compressedBytes });
    hold.blob(digest);
    store.metadata.change((change) => {
      change.putBlob(blob);
    });
    return {
      layer: { mediaType: mediaTypes.ociLayerGzip, digest, size: blob.sizeBytes },
      diffId: packed.diffId,
    };
  } catch (error) {
    await ingest.discard(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}
