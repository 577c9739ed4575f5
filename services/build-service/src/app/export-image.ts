/** Results as images: layers are packed, config and manifest written, the image recorded. */

import { type Platform, samePlatform } from "@gantry/oci";
import { inlineCacheField } from "../domain/cache-config.ts";
import { type DocumentTypes, documentTypes, type ImageFormat } from "../domain/image-format.ts";
import {
  type AnnotationPlace,
  BuildError,
  type BuildResult,
  type ExportedLayer,
  type ExportedManifest,
  type ImageExport,
  type PlatformResult,
  type StoredImage,
  type WrittenBlob,
} from "../ports/build.ts";
import { addAttestations } from "./attestation-manifest.ts";
import type { BuilderParts } from "./builder-parts.ts";
import { convertLayers } from "./convert-layers.ts";
import { Documents } from "./documents.ts";
import { inlineCacheOf, packChain } from "./pack-layers.ts";

type Annotations = Readonly<Record<string, string>>;

/** Blobs of an image, all in the content store. */
export interface WrittenImage {
  readonly target: WrittenBlob;
  /** Of what names the target. */
  readonly annotations: Annotations;
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
  const written = await writeKept(parts, result, options, leaseOwner, signal);
  const { target } = written;
  const byDigest = (options.digestNames ?? []).map((each) => `${each}@${target.digest}`);
  const described = { ...target, annotations: recordedAnnotations(written) };
  await parts.layers.storeImage(described, [...options.names, ...byDigest], leaseOwner);
  return storedImage(written);
}

/** What `docker image inspect` shows of the descriptor: of a plain manifest its config, too. */
function recordedAnnotations({ target, annotations, manifests }: WrittenImage): Annotations {
  const only = manifests.find(({ digest }) => digest === target.digest);
  return { ...annotations, ...(only && { "config.digest": only.configDigest }) };
}

/** What clients are told of it. */
export function storedImage({ target, annotations, manifests }: WrittenImage): StoredImage {
  return { ...target, annotations, configDigest: manifests[0]?.configDigest ?? "", manifests };
}

/** Writes all blobs of an image, kept by a lease; of one that fails nothing is kept. */
export async function writeKept(
  parts: BuilderParts,
  result: Pick<BuildResult, "platforms">,
  options: ImageExport,
  leaseOwner: string,
  signal: AbortSignal,
): Promise<WrittenImage> {
  try {
    return await writeImage(parts, result, options, leaseOwner, signal);
  } catch (error) {
    await parts.layers.release(leaseOwner);
    throw error;
  }
}

async function writeImage(
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
  const writing = { parts, options, documents, leaseOwner, signal };
  for (const each of result.platforms) {
    const manifest = await addManifest(writing, each);
    manifests.push(manifest);
    if (!isAttested(options, manifest.layers)) continue;
    attestations.push(addAttestations(manifest, options, documents));
  }
  const entries = [...manifests.map((each) => entryOf(each, options)), ...attestations];
  const [only] = manifests;
  const isIndex = options.isIndex === true || entries.length > 1 || only === undefined;
  if (!isIndex) refuseIndexAnnotations(options);
  const layers = manifests.flatMap((each) => each.layers);
  const target = isIndex ? addIndex(entries, layers, options, documents) : only;
  const annotations = isIndex
    ? annotationsOf(options, "index-descriptor")
    : annotationsOf(options, "manifest-descriptor", only.platform);
  await documents.write(parts.layers, layers, leaseOwner);
  return { target, annotations, manifests, blobs: [...layers, ...documents.blobs] };
}

/** What documents are written with. */
interface Writing {
  readonly parts: BuilderParts;
  readonly options: ImageExport;
  readonly documents: Documents;
  readonly leaseOwner: string;
  readonly signal: AbortSignal;
}

function refuseIndexAnnotations({ annotations }: ImageExport): void {
  if (annotations.some(({ place }) => place === "index" || place === "index-descriptor"))
    throw new BuildError("index annotations not supported for single platform export");
}

/** Docker's media types know of no attestations. */
function isOci(options: ImageExport, layers: readonly ExportedLayer[]): boolean {
  return options.format.oci || isAttested(options, layers);
}

/** There is nothing to attest of an image without files. */
function isAttested({ attestations }: ImageExport, layers: readonly ExportedLayer[]): boolean {
  return attestations !== undefined && layers.length > 0;
}

function addIndex(
  manifests: readonly object[],
  layers: readonly ExportedLayer[],
  options: ImageExport,
  documents: Documents,
): WrittenBlob {
  const mediaType = documentTypes[isOci(options, layers) ? "oci" : "docker"].index;
  const index = documents.add(mediaType, {
    ...{ schemaVersion: 2, mediaType, manifests },
    ...fieldOf(annotationsOf(options, "index")),
  });
  options.onStep(`exporting manifest list ${index.digest}`, true);
  return index;
}

function entryOf(
  { mediaType, digest, sizeBytes, platform }: ExportedManifest,
  options: ImageExport,
): object {
  return {
    ...{ mediaType, digest, size: sizeBytes },
    ...fieldOf(annotationsOf(options, "manifest-descriptor", platform)),
    platform: wirePlatform(platform),
  };
}

function wirePlatform({ architecture, os, variant }: Platform): object {
  return { architecture, os, ...(variant !== undefined && { variant }) };
}

/** Those for all platforms, then those for this one. */
function annotationsOf(
  { annotations }: ImageExport,
  place: AnnotationPlace,
  platform?: Platform,
): Annotations {
  const here = annotations.filter((each) => each.place === place);
  const general = here.filter((each) => each.platform === undefined);
  const special = here.filter(
    (each) => each.platform && platform && samePlatform(each.platform, platform),
  );
  return Object.fromEntries([...general, ...special].map(({ key, value }) => [key, value]));
}

function fieldOf(annotations: Annotations): object {
  return Object.keys(annotations).length === 0 ? {} : { annotations };
}

async function addManifest(writing: Writing, result: PlatformResult): Promise<ExportedManifest> {
  const { parts, options, documents, signal } = writing;
  const packed = await packChain(parts, result.snapshot, signal);
  options.onStep("exporting layers", true);
  const format = { ...options.format, oci: isOci(options, packed) };
  const layers = await formedLayers(writing, packed, format);
  const inlineCache =
    options.inlineCache === true && (await inlineCacheOf(parts, result, packed, layers));
  if (inlineCache !== false) options.onStep("preparing layers for inline cache", true);
  const { config, manifest } = addDocuments(documents, result.config, layers, {
    ...(inlineCache !== false && { fields: { [inlineCacheField]: inlineCache } }),
    annotations: annotationsOf(options, "manifest", result.platform),
    types: documentTypes[format.oci ? "oci" : "docker"],
  });
  options.onStep(`exporting manifest ${manifest.digest}`, true);
  options.onStep(`exporting config ${config.digest}`, true);
  return { platform: result.platform, ...manifest, configDigest: config.digest, layers };
}

async function formedLayers(
  { parts, options, leaseOwner, signal }: Writing,
  packed: readonly ExportedLayer[],
  format: ImageFormat,
): Promise<ExportedLayer[]> {
  const { notAfter } = format;
  const date = notAfter === undefined ? "" : new Date(notAfter * 1000).toISOString();
  const shown = date.replace("T", " ").replace(/\.000Z$/, " +0000 UTC");
  const step = `rewriting layers with source-date-epoch ${String(notAfter)} (${shown})`;
  if (notAfter !== undefined) options.onStep(step, false);
  const layers = await convertLayers(parts, packed, format, leaseOwner, signal);
  if (notAfter !== undefined) options.onStep(step, true);
  return layers;
}

/** Config and manifest of an image of some layers. */
export function addDocuments(
  documents: Documents,
  ofResult: PlatformResult["config"],
  layers: readonly ExportedLayer[],
  more: {
    /** Fields of the config that are no others' business. */
    readonly fields?: object;
    readonly annotations?: Annotations;
    /** Default OCI's. */
    readonly types?: DocumentTypes;
  } = {},
): { readonly config: WrittenBlob; readonly manifest: WrittenBlob } {
  // What the base image knew of its steps is not true of ours.
  const { [inlineCacheField]: _ofBase, ...document } = ofResult;
  const { history } = document;
  const types = more.types ?? documentTypes.oci;
  const created = history.at(-1)?.created ?? new Date().toISOString();
  const config = documents.add(types.config, {
    created,
    ...document,
    ...more.fields,
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history,
  });
  const manifest = documents.add(types.manifest, {
    schemaVersion: 2,
    mediaType: types.manifest,
    config: { mediaType: config.mediaType, digest: config.digest, size: config.sizeBytes },
    layers: layers.map(({ mediaType, digest, sizeBytes }) => ({
      mediaType,
      digest,
      size: sizeBytes,
    })),
    ...fieldOf(more.annotations ?? {}),
  });
  return { config, manifest };
}
