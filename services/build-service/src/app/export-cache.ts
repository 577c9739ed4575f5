/** A result's cache by itself: an index of manifests, one for each chain of layers of its steps. */
import { hostPlatform, mediaTypes } from "@gantry/oci";
import { cacheIndexType, inlineCacheField } from "../domain/cache-config.ts";
import type {
  BuildResult,
  CacheExport,
  PlatformResult,
  WrittenBlob,
  WrittenCache,
} from "../ports/build.ts";
import type { BuilderParts } from "./builder-parts.ts";
import { Documents } from "./documents.ts";
import { chainBelow, currentKey, inlineCacheOf, packChain } from "./pack-layers.ts";

type Chain = Pick<PlatformResult, "snapshot" | "cacheKeys">;

export async function exportCache(
  parts: BuilderParts,
  result: BuildResult,
  { mode }: CacheExport,
  leaseOwner: string,
  signal: AbortSignal,
): Promise<WrittenCache | undefined> {
  const chains = mode === "min" ? result.platforms : await allChains(parts, result);
  const layers = new Map<string, WrittenBlob>();
  const documents = new Documents();
  const manifests: WrittenBlob[] = [];
  const release = (): Promise<void> => parts.layers.release(leaseOwner);
  try {
    for (const chain of chains) {
      if (chain.snapshot === "") continue;
      manifests.push(await addChain(parts, chain, { layers, documents }, signal));
    }
    if (manifests.length === 0) return undefined;
    const target = addIndex(manifests, documents);
    await documents.write(parts.layers, [...layers.values()], leaseOwner);
    return {
      target,
      blobs: [...layers.values(), ...documents.blobs],
      read: (digest, until) => parts.layers.readBlob(digest, until),
      [Symbol.asyncDispose]: release,
    };
  } catch (error) {
    await release();
    throw error;
  }
}

/** The chains of all steps that are in the cache still; none is part of another. */
async function allChains(
  parts: BuilderParts,
  { platforms, stepKeys }: BuildResult,
): Promise<Chain[]> {
  const { cache, layers } = parts;
  const known = await layers.list();
  const cacheKeys = [...new Set([...platforms.flatMap((each) => each.cacheKeys), ...stepKeys])];
  const made = cacheKeys.map((key) => cache.find(key)?.snapshot ?? "");
  const results = platforms.map(({ snapshot }) => currentKey(parts, snapshot));
  const tops = new Set([...(await Promise.all(results)), ...made]);
  const chains = [...tops].filter((top) => known.has(top)).map((top) => chainBelow(known, top));
  const below = new Set(chains.flatMap((chain) => chain.slice(0, -1)));
  return chains
    .map((chain) => chain.at(-1) ?? "")
    .filter((top) => !below.has(top))
    .map((snapshot) => ({ snapshot, cacheKeys }));
}

async function addChain(
  parts: BuilderParts,
  chain: Chain,
  to: { readonly layers: Map<string, WrittenBlob>; readonly documents: Documents },
  signal: AbortSignal,
): Promise<WrittenBlob> {
  const layers = await packChain(parts, chain.snapshot, signal);
  for (const each of layers) to.layers.set(each.digest, each);
  const config = to.documents.add(mediaTypes.ociConfig, {
    ...hostPlatform(),
    [inlineCacheField]: await inlineCacheOf(parts, chain, layers),
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
  });
  return to.documents.add(mediaTypes.ociManifest, {
    ...{ schemaVersion: 2, mediaType: mediaTypes.ociManifest },
    config: descriptorOf(config),
    layers: layers.map(descriptorOf),
  });
}

function addIndex(manifests: readonly WrittenBlob[], documents: Documents): WrittenBlob {
  return documents.add(mediaTypes.ociIndex, {
    ...{ schemaVersion: 2, mediaType: mediaTypes.ociIndex, artifactType: cacheIndexType },
    manifests: manifests.map((each) => ({ ...descriptorOf(each), platform: hostPlatform() })),
  });
}

function descriptorOf({ mediaType, digest, sizeBytes }: WrittenBlob): object {
  return { mediaType, digest, size: sizeBytes };
}
