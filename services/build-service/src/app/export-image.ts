/** Results as images: layers are packed, config and manifest written, the image recorded. */

import { hostPlatform, mediaTypes, type Platform, samePlatform } from "@gantry/oci";
import { inlineCacheField } from "../domain/cache-config.ts";
import type {
  BuildResult,
  ExportedLayer,
  ExportedManifest,
  ImageExport,
  PlatformResult,
  StoredImage,
  WrittenBlob,
} from "../ports/build.ts";
import type { BuilderParts } from "./builder-parts.ts";
import { Documents } from "./documents.ts";
import { inlineCacheOf, packChain } from "./pack-layers.ts";

const inTotoType = "application/vnd.in-toto+json";

/** Blobs of an image, all in the content store. */
export interface WrittenImage {
  readonly target: WrittenBlob;
  readonly manifests: readonly ExportedManifest[];
  /** All of them, layers first. */
  readonly blobs: readonly WrittenBlob[];
}

/** Stores a result as an image of the engine. */
export async function exportImage(
  parts: BuilderParts,
  result: Pick<BuildResult, "platforms">,
  options: ImageExport,
  leaseOwner: string,
  signal: AbortSignal,
): Promise<StoredImage> {
  const written = await writeImage(parts, result, options, leaseOwner, signal);
  const { target, manifests } = written;
  await parts.layers.storeImage(target, options.names, leaseOwner);
  const unpacked = manifests.some(isOfHost);
  const unnamed = [`moby-dangling@${target.digest}`];
  const names = options.names.map((name) => parts.fullName(name));
  for (const name of names.length > 0 ? names : unnamed) {
    options.onStep(`naming to ${name}`, true);
    // That is how they are kept in any case.
    if (unpacked) options.onStep(`unpacking to ${name}`, true);
  }
  return storedImage(written);
}

/** What clients are told of it. */
export function storedImage({ target, manifests }: WrittenImage): StoredImage {
  return { ...target, configDigest: manifests[0]?.configDigest ?? "", manifests };
}

/** Writes all blobs of an image, kept by a lease. */
export async function writeImage(
  parts: BuilderParts,
  result: Pick<BuildResult, "platforms">,
  options: ImageExport,
  leaseOwner: string,
  signal: AbortSignal,
): Promise<WrittenImage> {
  options.onStep("exporting layers", false);
  const documents = new Documents();
  const manifests: ExportedManifest[] = [];
  const attestations: object[] = [];
  for (const each of result.platforms) {
    const manifest = await addManifest(parts, each, options, documents, signal);
    manifests.push(manifest);
    const attestation = addAttestations(manifest, options, documents);
    if (attestation !== undefined) attestations.push(attestation);
  }
  const entries = [...manifests.map(entryOf), ...attestations];
  const [only] = manifests;
  const isIndex = entries.length > 1 || only === undefined;
  const target = isIndex ? addIndex(entries, options, documents) : only;
  const layers = manifests.flatMap((each) => each.layers);
  await documents.write(parts.layers, layers, leaseOwner);
  return { target, manifests, blobs: [...layers, ...documents.blobs] };
}

function addIndex(
  manifests: readonly object[],
  { indexAnnotations, onStep }: ImageExport,
  documents: Documents,
): WrittenBlob {
  const index = documents.add(mediaTypes.ociIndex, {
    ...{ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests },
    ...annotationsOf(indexAnnotations),
  });
  onStep(`exporting manifest list ${index.digest}`, true);
  return index;
}

function entryOf({ mediaType, digest, sizeBytes, platform }: ExportedManifest): object {
  return { mediaType, digest, size: sizeBytes, platform: wirePlatform(platform) };
}

function isOfHost({ platform, layers }: ExportedManifest): boolean {
  return layers.length > 0 && samePlatform(platform, hostPlatform());
}

function wirePlatform({ architecture, os, variant }: Platform): object {
  return { architecture, os, ...(variant !== undefined && { variant }) };
}

function annotationsOf(annotations: ReadonlyMap<string, string>): object {
  return annotations.size === 0 ? {} : { annotations: Object.fromEntries(annotations) };
}

async function addManifest(
  parts: BuilderParts,
  result: PlatformResult,
  options: ImageExport,
  documents: Documents,
  signal: AbortSignal,
): Promise<ExportedManifest> {
  const layers = await packChain(parts, result.snapshot, signal);
  options.onStep("exporting layers", true);
  const inlineCache = options.inlineCache === true && (await inlineCacheOf(parts, result, layers));
  const { config, manifest } = addDocuments(documents, result.config, layers, {
    ...(inlineCache !== false && { fields: { [inlineCacheField]: inlineCache } }),
    annotations: options.annotations,
  });
  options.onStep(`exporting manifest ${manifest.digest}`, true);
  options.onStep(`exporting config ${config.digest}`, true);
  return { platform: result.platform, ...manifest, configDigest: config.digest, layers };
}

/** Config and manifest of an image of some layers. */
export function addDocuments(
  documents: Documents,
  ofResult: PlatformResult["config"],
  layers: readonly ExportedLayer[],
  more: {
    /** Fields of the config that are no others' business. */
    readonly fields?: object;
    readonly annotations?: ReadonlyMap<string, string>;
  } = {},
): { readonly config: WrittenBlob; readonly manifest: WrittenBlob } {
  // What the base image knew of its steps is not true of ours.
  const { [inlineCacheField]: _ofBase, ...document } = ofResult;
  const { history } = document;
  const created = history.at(-1)?.created ?? new Date().toISOString();
  const config = documents.add(mediaTypes.ociConfig, {
    created,
    ...document,
    ...more.fields,
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history,
  });
  const manifest = documents.add(mediaTypes.ociManifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: config.mediaType, digest: config.digest, size: config.sizeBytes },
    layers: layers.map(({ mediaType, digest, sizeBytes }) => ({
      mediaType,
      digest,
      size: sizeBytes,
    })),
    ...annotationsOf(more.annotations ?? new Map()),
  });
  return { config, manifest };
}

function addAttestations(
  manifest: ExportedManifest,
  options: ImageExport,
  documents: Documents,
): object | undefined {
  // There is nothing to attest of an image without files.
  const attestations = manifest.layers.length === 0 ? [] : options.attestations(manifest);
  if (attestations.length === 0) return undefined;
  const layers: object[] = [];
  const diffIds: string[] = [];
  for (const { predicateType, statement } of attestations) {
    const blob = documents.addBytes(inTotoType, statement);
    diffIds.push(blob.digest);
    layers.push({
      ...{ mediaType: inTotoType, digest: blob.digest, size: blob.sizeBytes },
      annotations: { "in-toto.io/predicate-type": predicateType },
    });
  }
  const unknown = { architecture: "unknown", os: "unknown" };
  const config = documents.add(mediaTypes.ociConfig, {
    ...unknown,
    config: {},
    rootfs: { type: "layers", diff_ids: diffIds },
  });
  const written = documents.add(mediaTypes.ociManifest, {
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
