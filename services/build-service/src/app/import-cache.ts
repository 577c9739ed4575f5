/** Results that others built become records of our cache, with their layers. */
import { randomUUID } from "node:crypto";
import { hasKind, invalidArgument } from "@gantry/errors";
import { maxManifestBytes, parseDigest, parseManifestOrIndex } from "@gantry/oci";
import { BuildFailure } from "../domain/build-failure.ts";
import {
  type CachedLayer,
  cacheIndexType,
  inlineCacheField,
  readInlineCache,
} from "../domain/cache-config.ts";
import type { ImageConfigDocument } from "../domain/image-config.ts";
import type { BlobCache, CacheImport, ExportedLayer, RegistryCache } from "../ports/build.ts";
import type { BuilderParts } from "./builder-parts.ts";
import { chainBelow } from "./pack-layers.ts";
import { leaseOwnerOf } from "./solver.ts";

/** Takes over what is new to us. Throws when there is no cache. */
export async function importCache(
  parts: BuilderParts,
  source: CacheImport,
  signal: AbortSignal,
): Promise<void> {
  const leaseOwner = `build-import-${randomUUID()}`;
  try {
    if (source.kind === "blobs") await importBlobs(parts, source, leaseOwner, signal);
    else await importFromRegistry(parts, source, leaseOwner, signal);
  } finally {
    await parts.layers.release(leaseOwner);
  }
}

/** Takes over the inline caches of images that are here; those that aren't, or have none, are passed over. */
export async function importLocalCaches(
  parts: BuilderParts,
  references: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  for (const reference of references) {
    const leaseOwner = `build-import-${randomUUID()}`;
    try {
      const image = await localImage(parts, reference, leaseOwner, signal);
      if (typeof image?.document[inlineCacheField] === "string") {
        await takeOver(parts, image, reference);
      }
    } finally {
      await parts.layers.release(leaseOwner);
    }
  }
}

/** A chain of layers, and the config that tells which steps they are. */
interface CachedChain {
  readonly document: ImageConfigDocument;
  readonly chain: readonly string[];
  readonly layers: readonly ExportedLayer[];
}

async function importFromRegistry(
  parts: BuilderParts,
  { reference, credential, onPull }: RegistryCache,
  leaseOwner: string,
  signal: AbortSignal,
): Promise<void> {
  const pull = (name: string) =>
    parts.layers.pull({ reference: name, leaseOwner, credential, onPull, signal });
  const pulled = await pull(reference).catch(async (error: unknown) => {
    // An image of ours that was never pushed.
    const image = await localImage(parts, reference, leaseOwner, signal);
    if (image === undefined) throw error;
    await takeOver(parts, image, reference);
    return undefined;
  });
  if (pulled === undefined) return;
  const { target, manifest } = pulled;
  const others = target === manifest ? undefined : await manifestsOf(parts, target, signal);
  for (const digest of others ?? [manifest]) {
    if (digest !== manifest) await pull(withDigest(reference, digest));
    await takeOver(parts, await parts.layers.unpack(digest, leaseOwner, signal), reference);
  }
}

/** The same repository. A tag ends after the last slash. */
function withDigest(reference: string, digest: string): string {
  const repository = reference.replace(/@.*$/, "").replace(/:[^/:]*$/, "");
  return `${repository}@${digest}`;
}

async function importBlobs(
  parts: BuilderParts,
  { name, digest, read }: BlobCache,
  leaseOwner: string,
  signal: AbortSignal,
): Promise<void> {
  const { layers } = parts;
  const bring = async (each: string): Promise<void> => {
    if (await layers.hasBlob(each, leaseOwner)) return;
    await layers.copyBlob(each, read(each, signal), leaseOwner, signal);
  };
  await bring(digest);
  const manifests = await manifestsOf(parts, digest, signal);
  if (manifests === undefined) throw invalidArgument(`${name} is no cache of this builder`);
  for (const each of manifests) {
    await bring(each);
    const manifest = await document(parts, each, signal);
    if (manifest.kind !== "manifest") throw invalidArgument(`${name}: ${each} is no manifest`);
    for (const part of [manifest.config, ...manifest.layers]) await bring(part.digest);
    await takeOver(parts, await layers.unpack(each, leaseOwner, signal), name);
  }
}

/** Manifests of a cache's index; undefined: it is an image's, or no index. */
async function manifestsOf(
  parts: BuilderParts,
  digest: string,
  signal: AbortSignal,
): Promise<string[] | undefined> {
  const index = await document(parts, digest, signal);
  if (index.kind !== "index" || index.artifactType !== cacheIndexType) return undefined;
  return index.manifests.map((each) => each.digest);
}

async function document(parts: BuilderParts, digest: string, signal: AbortSignal) {
  return parseManifestOrIndex(await wholeBlob(parts, digest, signal), "");
}

async function wholeBlob(
  { layers }: BuilderParts,
  digest: string,
  signal: AbortSignal,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of layers.readBlob(digest, signal)) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxManifestBytes) throw invalidArgument(`manifest ${digest} is too large`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function localImage(
  parts: BuilderParts,
  reference: string,
  leaseOwner: string,
  signal: AbortSignal,
): Promise<CachedChain | undefined> {
  try {
    const image = await parts.layers.find(reference, leaseOwner, signal);
    return { ...image, chain: chainBelow(await parts.layers.list(), image.chainId) };
  } catch (error) {
    // A name that nothing can have is one that no image here has.
    if (hasKind(error, "not_found") || hasKind(error, "invalid_argument")) return undefined;
    throw error;
  }
}

async function takeOver(
  parts: BuilderParts,
  cached: CachedChain,
  reference: string,
): Promise<void> {
  parts.knowLayers(cached);
  const known = await parts.layers.list();
  for (const result of cacheOf(cached, reference)) {
    const sizeBytes = known.get(cached.chain[result.layer] ?? "")?.sizeBytes ?? 0;
    await keep(parts, { ...result, sizeBytes }, cached, reference);
  }
}

function cacheOf({ document: config, chain }: CachedChain, reference: string): CachedLayer[] {
  const text = config[inlineCacheField];
  if (typeof text !== "string") {
    throw new BuildFailure(`failed to configure inline cache importer: ${reference} has no cache`);
  }
  return readInlineCache(text, chain.length);
}

async function keep(
  { cache, layers, shared }: BuilderParts,
  { key, keys, layer, createdNano, sizeBytes }: CachedLayer & { readonly sizeBytes: number },
  { chain, layers: blobs }: CachedChain,
  reference: string,
): Promise<void> {
  const snapshot = chain[layer];
  if (snapshot === undefined || cache.find(key) !== undefined) return;
  const id = randomUUID().replaceAll("-", "").slice(0, 25);
  // Results are exported with these blobs, and no image need have them.
  const digests = blobs.slice(0, layer + 1).map(({ digest }) => digest);
  const resources = { layers: [parseDigest(snapshot)], blobs: digests };
  await layers.lease(leaseOwnerOf(id), resources, 0);
  const description = `imported from ${reference}`;
  cache.put(
    { id, snapshot, key, type: "regular", description, sizeBytes, createdNano },
    // A key that leads elsewhere already does so for a reason of ours.
    [key, ...keys.filter((each) => each !== key && cache.find(each) === undefined)],
  );
  shared.inUse.add(id);
}
