/** `docker system df`: what images take on disk. */
import type { ImageDetails } from "../domain/image-details.ts";
import type { SnapshotRecord } from "../domain/records.ts";
import { listImages, withSharedSizes } from "./list-images.ts";
import type { Store } from "./store.ts";

export interface DiskUsage {
  readonly images: readonly ImageDetails[];
  /** All blobs, and all layers that an image can have, as du counts them. */
  readonly layersSizeBytes: number;
}

export async function diskUsage(store: Store): Promise<DiskUsage> {
  const images = await listImages(store, {
    all: false,
    filters: new Map(),
    sharedSize: false,
    manifests: true,
  });
  let layersSizeBytes = 0;
  for (const { sizeBytes } of store.metadata.blobs.values()) layersSizeBytes += onDisk(sizeBytes);
  for (const { sizeBytes } of imageLayers(store)) {
    // Beside its files: a layer's folder, and its tree's root.
    layersSizeBytes += sizeBytes + 2 * blockBytes;
  }
  return { images: withSharedSizes(store, images), layersSizeBytes };
}

/** Layers with a chain ID, and what they lie upon. Others are a builder's own, in the figures of its cache. */
function imageLayers({ metadata }: Store): Set<SnapshotRecord> {
  const found = new Set<SnapshotRecord>();
  for (const snapshot of metadata.snapshots.values()) {
    if (snapshot.kind !== "layer" || !snapshot.key.startsWith("sha256:")) continue;
    let layer: SnapshotRecord | undefined = snapshot;
    while (layer !== undefined && !found.has(layer)) {
      found.add(layer);
      layer = metadata.snapshots.get(layer.parent);
    }
  }
  return found;
}

/** Files take whole blocks. */
const blockBytes = 4096;

function onDisk(sizeBytes: number): number {
  return Math.ceil(sizeBytes / blockBytes) * blockBytes;
}
