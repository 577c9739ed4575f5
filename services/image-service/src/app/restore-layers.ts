/**
 * Start-up: layers below writable snapshots that were lost (start-up drops what a power cut may have left
 * half-written) are unpacked anew from the blobs of an image that has them.
 */
import { type Digest, parseDigest } from "@gantry/oci";
import type { ManifestView } from "../domain/image-view.ts";
import { unpackPresent } from "./resolve-image.ts";
import type { Store } from "./store.ts";

export async function restoreLayers(store: Store): Promise<void> {
  // What was unpacked before a crash of this service alone.
  store.layerSync.schedule();
  const { snapshots } = store.metadata;
  const missing = new Set(
    [...snapshots.values()]
      .filter(({ kind, parent }) => kind !== "layer" && parent !== "" && !snapshots.has(parent))
      .map(({ parent }) => parent),
  );
  for (const key of missing) await restore(store, key);
}

async function restore(store: Store, key: string): Promise<void> {
  using hold = store.holds.open();
  try {
    const view = await viewWith(store, key);
    if (view === undefined) {
      store.logger.error({ key }, "no image has the layers of a snapshot");
      return;
    }
    await unpackPresent(store, view, hold, new AbortController().signal);
    store.logger.info({ key }, "unpacked layers anew");
  } catch (error) {
    store.logger.error({ err: error, key }, "cannot unpack the layers of a snapshot anew");
  }
}

/** A manifest whose chain of layers goes through this one, of an image or of what a lease keeps. */
async function viewWith(store: Store, key: string): Promise<ManifestView | undefined> {
  const { images, leases, blobs } = store.metadata;
  const leased = [...leases.values()].flatMap(({ resources }) =>
    resources.filter(({ type }) => type === "image").map(({ id }): Digest => parseDigest(id)),
  );
  for (const target of new Set([...images.keys(), ...leased])) {
    if (!blobs.has(target)) continue;
    const { manifests } = await store.catalog.view(target);
    const found = manifests.find(({ chain }) => chain.some((each) => each === key));
    if (found !== undefined) return found;
  }
  return undefined;
}
