/** Results as images: layers are packed, config and manifest written, the image recorded. */

import { type Digest, mediaTypes, type Platform } from "@gantry/oci";
import { inlineCacheField } from "../domain/cache-config.ts";
import type {
  BuildResult,
  ExportedManifest,
  ImageExport,
  PlatformResult,
  StoredImage,
} from "../ports/build.ts";
import type { BuilderParts } from "./builder-parts.ts";
import { inlineCacheOf, packChain } from "./pack-layers.ts";

const inTotoType = "application/vnd.in-toto+json";
/** An export's blobs are kept so long when nobody stores an image of them. */
export const exportLeaseMs = 3600 * 1000;

/** Blobs of an image, all in the content store. */
export interface WrittenImage {
  readonly target: WrittenDocument;
  readonly manifests: readonly ExportedManifest[];
}

/** A document in the content store. */
export interface WrittenDocument {
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

/** Writes a document, kept by a lease. */
export async function writeJson(
  parts: BuilderParts,
  leaseOwner: string,
  mediaType: string,
  document: object,
): Promise<WrittenDocument> {
  const blob = await parts.layers.writeBlob(Buffer.from(JSON.stringify(document)), leaseOwner);
  return { mediaType, ...blob };
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
