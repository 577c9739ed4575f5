/** `docker system df`: what images take on disk. */
import type { ImageDetails } from "../domain/image-details.ts";
import { listImages, withSharedSizes } from "./list-images.ts";
import type { Store } from "./store.ts";

export interface DiskUsage {
  readonly images: readonly ImageDetails[];
  /** All blobs and layers, as du counts them. */
  readonly layersSizeBytes: number;
}

export async function diskUsage(store: Store): Promise<DiskUsage> {
  const images = await listImages(store, {
    filters: new Map(),
    sharedSize: false,
    manifests: true,
  });
  let layersSizeBytes = 0;
  for (const { sizeBytes } of store.metadata.blobs.values()) layersSizeBytes += onDisk(sizeBytes);
  for (const { kind, sizeBytes } of store.metadata.snapshots.values()) {
    // Beside its files: a layer's folder, and its tree's root.
    if (kind === "layer") layersSizeBytes += sizeBytes + 2 * blockBytes;
  }
  return { images: withSharedSizes(store, images), layersSizeBytes };
}

/** Files take whole blocks. */
const blockBytes = 4096;

function onDisk(sizeBytes: number): number {
  return Math.ceil(sizeBytes / blockBytes) * blockBytes;
}
