/** Results as images: layers are packed, config and manifest written, the image recorded. */

import { hasKind, internal } from "@gantry/errors";
import {
  chainIds,
  type Digest,
  isDigest,
  mediaTypes,
  type Platform,
  parseDigest,
} from "@gantry/oci";
import { type CachedLayer, inlineCacheField, writeInlineCache } from "../domain/cache-config.ts";
import type {
  BuildResult,
  ExportedLayer,
  ExportedManifest,
  ImageExport,
  PlatformResult,
  StoredImage,
} from "../ports/build.ts";
import type { PackedLayer } from "../ports/layers.ts";
import type { BuilderParts } from "./builder-parts.ts";

const inTotoType = "application/vnd.in-toto+json";
/** An export's blobs are kept so long when nobody stores an image of them. */
const exportLeaseMs = 3600 * 1000;

/** Blobs of an image, all in the content store. */
export interface WrittenImage {
  readonly target: WrittenDocument;
  readonly manifests: readonly ExportedManifest[];
}

interface WrittenDocument {
  readonly mediaType: string;
  readonly digest: string;
  readonly sizeBytes: number;
}

/** Stores a result as an image of the engine. */
export async function exportImage(
  parts: BuilderParts,
  result: BuildResult,
  options: ImageExport,
  leaseOwner: string,
  signal: AbortSignal,
): Promise<StoredImage> {
  const { target, manifests } = await writeImage(parts, result, options, leaseOwner, signal);
  await parts.layers.storeImage(target, options.names);
  for (const name of options.names) {
    options.onStep(`naming to ${parts.fullName(name)}`, true);
  }
  await parts.layers.release(leaseOwner);
  return { ...target, configDigest: manifests[0]?.configDigest ?? "", manifests };
}

/** Writes all blobs of an image, kept by a lease. */
export async function writeImage(
  parts: BuilderParts,
  result: BuildResult,
  options: ImageExport,
  leaseOwner: string,
  signal: AbortSignal,
): Promise<WrittenImage> {
  options.onStep("exporting layers", false);
  const manifests: ExportedManifest[] = [];
  for (const each of result.platforms) {
    manifests.push(await writeManifest(parts, each, options, leaseOwner, signal));
  }
  const entries = manifests.map(entryOf);
  for (const manifest of manifests) {
    const attestation = await writeAttestations(parts, manifest, options, leaseOwner);
    if (attestation !== undefined) entries.push(attestation);
  }
  const [only] = manifests;
  if (entries.length === 1 && only !== undefined) return { target: only, manifests };
  const index = await writeJson(parts, leaseOwner, mediaTypes.ociIndex, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: entries,
    ...annotationsOf(options.indexAnnotations),
  });
  options.onStep(`exporting manifest list ${index.digest}`, true);
  return { target: index, manifests };
}

function entryOf({ mediaType, digest, sizeBytes, platform }: ExportedManifest): object {
  return { mediaType, digest, size: sizeBytes, platform: wirePlatform(platform) };
}

function wirePlatform({ architecture, os, variant }: Platform): object {
  return { architecture, os, ...(variant !== undefined && { variant }) };
}

function annotationsOf(annotations: ReadonlyMap<string, string>): object {
  return annotations.size === 0 ? {} : { annotations: Object.fromEntries(annotations) };
}

async function writeManifest(
  parts: BuilderParts,
  result: PlatformResult,
  options: ImageExport,
  leaseOwner: string,
  signal: AbortSignal,
): Promise<ExportedManifest> {
  const layers = await packChain(parts, result.snapshot, signal);
  options.onStep("exporting layers", true);
  await parts.layers.lease(
    leaseOwner,
    { blobs: layers.map(({ digest }) => digest) },
    exportLeaseMs,
  );
  // What the base image knew of its steps is not true of ours.
  const { [inlineCacheField]: _ofBase, ...document } = result.config;
  const { history } = document;
  const created = history.at(-1)?.created ?? new Date().toISOString();
  const config = await writeJson(parts, leaseOwner, mediaTypes.ociConfig, {
    created,
    ...document,
    ...(options.inlineCache === true && {
      [inlineCacheField]: await inlineCacheOf(parts, result, layers),
    }),
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history,
  });
  const manifest = await writeJson(parts, leaseOwner, mediaTypes.ociManifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: config.mediaType, digest: config.digest, size: config.sizeBytes },
    layers: layers.map(({ mediaType, digest, sizeBytes }) => ({
      mediaType,
      digest,
      size: sizeBytes,
    })),
    ...annotationsOf(options.annotations),
  });
  options.onStep(`exporting manifest ${manifest.digest}`, true);
  options.onStep(`exporting config ${config.digest}`, true);
  return { platform: result.platform, ...manifest, configDigest: config.digest, layers };
}

/** Which steps the layers are. */
async function inlineCacheOf(
  { cache, layers }: BuilderParts,
  { snapshot, cacheKeys }: PlatformResult,
  blobs: readonly ExportedLayer[],
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
    blobs.map(({ digest }) => digest),
    results,
  );
}

/** The topmost layer, by the name that it has once it is packed. */
function topOf(blobs: readonly ExportedLayer[], snapshot: string): string {
  return chainIds(blobs.map(({ diffId }) => parseDigest(diffId))).at(-1) ?? snapshot;
}

async function writeAttestations(
  parts: BuilderParts,
  manifest: ExportedManifest,
  options: ImageExport,
  leaseOwner: string,
): Promise<object | undefined> {
  const attestations = options.attestations(manifest);
  if (attestations.length === 0) return undefined;
  const layers: object[] = [];
  const diffIds: string[] = [];
  for (const { predicateType, statement } of attestations) {
    const blob = await parts.layers.writeBlob(statement, leaseOwner);
    diffIds.push(blob.digest);
    layers.push({
      ...{ mediaType: inTotoType, digest: blob.digest, size: blob.sizeBytes },
      annotations: { "in-toto.io/predicate-type": predicateType },
    });
  }
  const unknown = { architecture: "unknown", os: "unknown" };
  const config = await writeJson(parts, leaseOwner, mediaTypes.ociConfig, {
    ...unknown,
    config: {},
    rootfs: { type: "layers", diff_ids: diffIds },
  });
  const written = await writeJson(parts, leaseOwner, mediaTypes.ociManifest, {
    ...{ schemaVersion: 2, mediaType: mediaTypes.ociManifest },
    config: { mediaType: config.mediaType, digest: config.digest, size: config.sizeBytes },
    layers,
  });
  options.onStep(`exporting attestation manifest ${written.digest}`, true);
  return {
    ...{ mediaType: written.mediaType, digest: written.digest, size: written.sizeBytes },
    platform: unknown,
    annotations: {
      "vnd.docker.reference.type": "attestation-manifest",
      "vnd.docker.reference.digest": manifest.digest,
    },
  };
}

async function writeJson(
  parts: BuilderParts,
  leaseOwner: string,
  mediaType: string,
  document: object,
): Promise<WrittenDocument> {
  const blob = await parts.layers.writeBlob(Buffer.from(JSON.stringify(document)), leaseOwner);
  return { mediaType, ...blob };
}

/** Layers of a chain, lowest first; those that have no blob yet are packed. */
async function packChain(
  parts: BuilderParts,
  snapshot: string,
  signal: AbortSignal,
): Promise<ExportedLayer[]> {
  const keys = chainBelow(await parts.layers.list(), snapshot);
  const layers: ExportedLayer[] = [];
  let parentChain = "";
  for (const key of keys) {
    const layer = isDigest(key) ? parts.cache.layer(key) : undefined;
    if (layer !== undefined) {
      layers.push(layer);
      parentChain = key;
    } else {
      const packed = await packOnce(parts, key, parentChain, signal);
      layers.push(packed);
      parentChain = packed.chainId;
    }
  }
  return layers;
}

/** A layer and what is below it, lowest first. */
function chainBelow(
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
  const packed = await layers.pack(key, parentChain, owner, signal);
  cache.putLayer(packed.chainId, packed);
  cache.renameLayer(key, packed.chainId);
  return packed;
}

/** Blobs of an image in an order that archives like: config, layers, manifests. */
export function blobsOf({ target, manifests }: WrittenImage): Digest[] {
  const all = manifests.flatMap(({ configDigest, layers, digest }) => [
    configDigest,
    ...layers.map((layer) => layer.digest),
    digest,
  ]);
  return [...new Set([...all, target.digest])] as Digest[];
}
