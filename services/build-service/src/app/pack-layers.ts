/** Layers of results as blobs, and what the cache knows of them. */
import { hasKind, internal } from "@gantry/errors";
import { chainIds, isDigest, parseDigest } from "@gantry/oci";
import { type CachedLayer, writeInlineCache } from "../domain/cache-config.ts";
import type { ExportedLayer, PlatformResult } from "../ports/build.ts";
import type { PackedLayer } from "../ports/layers.ts";
import type { BuilderParts } from "./builder-parts.ts";

/** Layers of a chain, lowest first; those that have no blob yet are packed. */
export async function packChain(
  parts: BuilderParts,
  snapshot: string,
  signal: AbortSignal,
): Promise<ExportedLayer[]> {
  const known = await parts.layers.list();
  const keys = chainBelow(
    known,
    known.has(snapshot) ? snapshot : await currentKey(parts, snapshot),
  );
  const layers: ExportedLayer[] = [];
  let parentChain = "";
  for (const key of keys) {
    const layer = await packLayer(parts, key, parentChain, signal);
    layers.push(layer);
    parentChain = layer.chainId;
  }
  return layers;
}

/** A layer as a blob; packed, if it has none yet. @param parentChain chain ID of the layers below, or empty */
export async function packLayer(
  parts: BuilderParts,
  key: string,
  parentChain: string,
  signal: AbortSignal,
): Promise<PackedLayer> {
  const layer = isDigest(key) ? parts.cache.layer(key) : undefined;
  if (layer !== undefined) return { ...layer, chainId: key };
  return await packOnce(parts, key, parentChain, signal);
}

/** Key of a result's layer, which has got another one if it was packed meanwhile. */
export async function currentKey({ packing }: BuilderParts, snapshot: string): Promise<string> {
  return (await packing.get(snapshot))?.chainId ?? snapshot;
}

/** A layer and what is below it, lowest first. Throws internal when one is missing. */
export function chainBelow(
  known: ReadonlyMap<string, { readonly parent: string }>,
  snapshot: string,
): string[] {
  const keys: string[] = [];
  for (let key = snapshot; key !== ""; ) {
    keys.unshift(key);
    const below = known.get(key);
    if (below === undefined) throw internal(`layer ${key} of the result is missing`);
    key = below.parent;
  }
  return keys;
}

/** Packs a layer once, however many results share it. */
async function packOnce(
  parts: BuilderParts,
  key: string,
  parentChain: string,
  signal: AbortSignal,
): Promise<PackedLayer> {
  const { packing } = parts;
  const other = packing.get(key);
  if (other !== undefined) {
    try {
      return await other;
    } catch (error) {
      // Somebody else's build was cancelled: ours goes on.
      if (!hasKind(error, "canceled") && signal.aborted) throw error;
    }
  }
  const work = pack(parts, key, parentChain, signal);
  packing.set(key, work);
  try {
    return await work;
  } catch (error) {
    packing.delete(key);
    throw error;
  }
}

async function pack(
  parts: BuilderParts,
  key: string,
  parentChain: string,
  signal: AbortSignal,
): Promise<PackedLayer> {
  const { cache, layers } = parts;
  const owner = `build-cache-${key.replace(/^build\//, "")}`;
  const options = { leaseOwner: owner, like: cache.blobsLike(key) };
  const packed = await layers.pack(key, parentChain, options, signal);
  cache.putLayer(packed.chainId, packed);
  cache.renameLayer(key, packed.chainId);
  return packed;
}

/**
 * Which steps the layers of a packed chain are, for its config.
 * @param shown the layers in the form in which the image has them
 */
export async function inlineCacheOf(
  { cache, layers }: BuilderParts,
  { snapshot, cacheKeys }: Pick<PlatformResult, "snapshot" | "cacheKeys">,
  blobs: readonly ExportedLayer[],
  shown: readonly ExportedLayer[] = blobs,
): Promise<string> {
  const chain = chainBelow(await layers.list(), topOf(blobs, snapshot));
  const results = cacheKeys.flatMap((key): CachedLayer[] => {
    const entry = cache.find(key);
    const layer = entry === undefined ? -1 : chain.indexOf(entry.snapshot);
    if (entry === undefined || layer < 0) return [];
    const { createdNano } = entry;
    return [{ key, keys: cache.keysOf(entry.id), layer, createdNano }];
  });
  return writeInlineCache(
    shown.map(({ digest }) => digest),
    results,
  );
}

/** The topmost layer, by the name that it has once it is packed. */
function topOf(blobs: readonly ExportedLayer[], snapshot: string): string {
  return chainIds(blobs.map(({ diffId }) => parseDigest(diffId))).at(-1) ?? snapshot;
}
