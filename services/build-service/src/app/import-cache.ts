/** Results that others built and left in an image's config become records of our cache. */
import { randomUUID } from "node:crypto";
import { BuildFailure } from "../domain/build-failure.ts";
import { type CachedLayer, inlineCacheField, readInlineCache } from "../domain/cache-config.ts";
import type { CacheImport } from "../ports/build.ts";
import type { BaseImage } from "../ports/layers.ts";
import type { BuilderParts } from "./builder-parts.ts";
import { leaseOwnerOf } from "./solver.ts";

/** Takes over what is new to us; layers are those of the image. Throws when the image has no cache. */
export async function importCache(
  parts: BuilderParts,
  { reference, credential, onPull }: CacheImport,
  signal: AbortSignal,
): Promise<void> {
  const leaseOwner = `build-import-${randomUUID()}`;
  try {
    const image = await parts.layers.resolve({
      ...{ reference, leaseOwner, credential, onPull, signal },
      ...{ platform: undefined, pull: false },
    });
    parts.knowLayers(image);
    const chain = await chainOf(parts, image.chainId);
    for (const result of cacheOf(image, chain.length)) await keep(parts, result, chain, reference);
  } finally {
    await parts.layers.release(leaseOwner);
  }
}

function cacheOf({ document, reference }: BaseImage, layerCount: number): CachedLayer[] {
  const text = document[inlineCacheField];
  if (typeof text !== "string") {
    throw new BuildFailure(`failed to configure inline cache importer: ${reference} has no cache`);
  }
  return readInlineCache(text, layerCount);
}

/** Chain IDs of an image's layers, the lowest first. */
async function chainOf({ layers }: BuilderParts, top: string): Promise<string[]> {
  const known = await layers.list();
  const chain: string[] = [];
  for (let key = top; key !== ""; key = known.get(key)?.parent ?? "") chain.unshift(key);
  return chain;
}

async function keep(
  { cache, layers, shared }: BuilderParts,
  { key, keys, layer, createdNano }: CachedLayer,
  chain: readonly string[],
  reference: string,
): Promise<void> {
  const snapshot = chain[layer];
  const isKnown = cache.find(key) !== undefined;
  if (snapshot === undefined || isKnown) return;
  const id = randomUUID().replaceAll("-", "").slice(0, 25);
  await layers.lease(leaseOwnerOf(id), { layers: [snapshot] }, 0);
  const description = `imported from ${reference}`;
  cache.put(
    { id, snapshot, key, type: "regular", description, sizeBytes: 0, createdNano },
    // A key that leads elsewhere already does so for a reason of ours.
    [key, ...keys.filter((each) => each !== key && cache.find(each) === undefined)],
  );
  shared.inUse.add(id);
}
