/** Which images were made of another: `docker ps --filter ancestor=`. */
import type { Digest } from "@gantry/oci";
import type { ManifestView } from "../domain/image-view.ts";
import { findImage } from "./find-image.ts";
import type { Store } from "./store.ts";

/** The image itself first. Throws not_found. */
export async function derivedImages(store: Store, name: string): Promise<readonly Digest[]> {
  const { image } = findImage(store.metadata, name);
  const parents = await imagesOf(store, image.digest);
  const found = [image.digest];
  for (const digest of [...store.metadata.images.keys()]) {
    if (digest === image.digest) continue;
    const children = await imagesOf(store, digest);
    if (children.some((child) => parents.some((parent) => isDerived(child, parent)))) {
      found.push(digest);
    }
  }
  return found;
}

/** What can be run of a target. One that cannot be read has nothing. */
async function imagesOf(store: Store, target: Digest): Promise<readonly ManifestView[]> {
  try {
    const { manifests } = await store.catalog.view(target);
    return manifests.filter(({ config }) => config !== undefined);
  } catch (error) {
    // It may have been removed since the loop began.
    if (store.metadata.images.has(target)) {
      store.logger.warn({ err: error, image: target }, "image cannot be read");
    }
    return [];
  }
}

/** Layers that begin with the parent's and go on; where only the config was changed, the history goes on. */
function isDerived(child: ManifestView, parent: ManifestView): boolean {
  if (parent.diffIds.length === 0) return false;
  if (!parent.diffIds.every((diffId, index) => child.diffIds[index] === diffId)) return false;
  return (
    child.diffIds.length > parent.diffIds.length || historyLength(child) > historyLength(parent)
  );
}

function historyLength({ config }: ManifestView): number {
  return config?.history?.length ?? 0;
}
