/** Base images and caches: found, pulled, unpacked by image-service. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { hasKind, internal, notFound } from "@gantry/errors";
import {
  chainIds,
  type Descriptor,
  familiarName,
  type Manifest,
  type Platform,
  parseDigest,
  parseImageConfig,
  parseManifestOrIndex,
  parseReference,
  platformDistance,
  withDefaultTag,
} from "@gantry/oci";
import type {
  PullImageRequestSchema,
  PullImageResponse,
  ResolveImageResponse,
} from "@gantry/proto/image";
import type { ImageConfigDocument } from "../../domain/image-config.ts";
import type { ExportedLayer } from "../../ports/build.ts";
import type {
  BaseImage,
  PulledContent,
  ResolveBase,
  UnpackedManifest,
} from "../../ports/layers.ts";
import type { Clients } from "./clients.ts";

/** A base image, pulled when it isn't here. Throws not_found. */
export async function resolveBase(clients: Clients, request: ResolveBase): Promise<BaseImage> {
  const { platform } = request;
  const present = request.pull ? undefined : await whatIsHere(clients, request);
  if (present === undefined) await pull(clients, request);
  const found = present ?? (await resolve(clients, request, platform));
  return await describe(clients, request, found);
}

function resolve(
  { images }: Clients,
  { reference: image, leaseOwner, signal }: ResolveBase,
  platform: Platform | undefined,
): Promise<ResolveImageResponse> {
  const wire = platform && { platform: wirePlatform(platform) };
  return images.resolveImage({ image, leaseOwner, ...wire }, { signal });
}

/**
 * An image as it is here. One without an index is taken for any platform; of an index that lists the platform,
 * the manifest may be still to pull. Throws not_found when the index does not list it.
 */
async function whatIsHere(
  clients: Clients,
  request: ResolveBase,
): Promise<ResolveImageResponse | undefined> {
  const { platform, signal } = request;
  const exact = await orAbsent(resolve(clients, request, platform));
  if (exact !== undefined || platform === undefined || !request.staysLocal) return exact;
  const other = await orAbsent(resolve(clients, request, undefined));
  const target = other?.image?.target;
  if (target === undefined || target.digest === other?.image?.manifest?.digest) return other;
  const index = parseManifestOrIndex(await wholeBlob(clients.content, target.digest, signal), "");
  const listed = index.kind === "index" ? index.manifests : [];
  if (
    listed.some((each) => each.platform && platformDistance(platform, each.platform) !== undefined)
  )
    return undefined;
  throw notFound("image", request.reference, noMatch);
}

/** BuildKit's words. */
const noMatch = "no match for platform in manifest: not found";

async function orAbsent<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (hasKind(error, "not_found")) return undefined;
    throw error;
  }
}

function wirePlatform(platform: Platform) {
  const { os, architecture, variant = "", osVersion = "" } = platform;
  return { os, architecture, variant, osVersion };
}

async function pull(clients: Clients, request: ResolveBase): Promise<void> {
  const { platform } = request;
  const wire = platform && { platform: wirePlatform(platform) };
  const pulling = await openPull(clients, request, { ...wire });
  for await (const message of pulling) tellOf(message, request);
}

/** Brings what a reference names for a lease. No image comes of it. */
export async function pullContent(
  clients: Clients,
  request: PullRequest & Pick<ResolveBase, "leaseOwner">,
): Promise<PulledContent> {
  const { leaseOwner } = request;
  let pulled: PulledContent | undefined;
  for await (const message of await openPull(clients, request, { leaseOwner })) {
    tellOf(message, request);
    const { target, manifest } = message;
    if (target === undefined || manifest === undefined) continue;
    pulled = { target: target.digest, manifest: manifest.digest };
  }
  if (pulled === undefined) throw internal("a pull ended without what it brought");
  return pulled;
}

type PullRequest = Pick<ResolveBase, "reference" | "credential" | "onPull" | "signal">;

async function openPull(
  { images }: Clients,
  { reference: text, credential: credentialOf, signal }: PullRequest,
  options: Pick<MessageInitShape<typeof PullImageRequestSchema>, "platform" | "leaseOwner">,
): Promise<AsyncIterable<PullImageResponse>> {
  const reference = withDefaultTag(parseReference(text));
  const credential = await credentialOf(registryHost(reference.domain));
  const auth = credential && { ...credential, serverAddress: reference.domain };
  const request = { reference: familiarName(reference), ...(auth && { auth }), ...options };
  return images.pullImage(request, { signal });
}

function tellOf({ progress }: PullImageResponse, { onPull }: PullRequest): void {
  if (progress === undefined) return;
  const { id, status, current, total, hasProgressDetail: hasDetail } = progress;
  onPull({ id, status, current: Number(current), total: Number(total), hasDetail });
}

function registryHost(domain: string): string {
  return domain === "docker.io" ? "registry-1.docker.io" : domain;
}

/** An image that is here. Throws not_found. */
export async function findBase(
  clients: Clients,
  request: Pick<ResolveBase, "reference" | "leaseOwner" | "signal">,
): Promise<BaseImage> {
  const { reference: image, leaseOwner, signal } = request;
  const found = await clients.images.resolveImage({ image, leaseOwner }, { signal });
  return await describe(clients, request, found);
}

async function describe(
  clients: Clients,
  { reference, signal }: Pick<ResolveBase, "reference" | "signal">,
  { image, chainId }: ResolveImageResponse,
): Promise<BaseImage> {
  if (image === undefined) throw internal("image-service answered without an image");
  const { configJson, manifest } = image;
  const document = documentOf(configJson);
  const diffIds = image.diffIds.map(parseDigest);
  const { layers } = await manifestOf(clients, manifest?.digest ?? "", signal);
  if ((chainIds(diffIds).at(-1) ?? "") !== chainId) throw internal(`${reference} has other layers`);
  const { os = "linux", architecture = "", variant = "" } = image.platform ?? {};
  return {
    id: image.id,
    reference: referenceName(reference),
    chainId,
    platform: { os, architecture, ...(variant !== "" && { variant }) },
    document,
    layers: layersOf(layers, diffIds),
  };
}

/** Unpacks a manifest of the content store. Throws not_found, invalid_argument. */
export async function unpackContent(
  clients: Clients,
  digest: string,
  leaseOwner: string,
  signal: AbortSignal,
): Promise<UnpackedManifest> {
  const { content, snapshots } = clients;
  await snapshots.unpackManifest({ digest, leaseOwner }, { signal });
  const { config, layers } = await manifestOf(clients, digest, signal);
  const bytes = await wholeBlob(content, config.digest, signal);
  const diffIds = parseImageConfig(bytes).rootfs.diff_ids;
  return {
    document: documentOf(bytes),
    chain: chainIds(diffIds),
    layers: layersOf(layers, diffIds),
  };
}

function documentOf(bytes: Uint8Array): ImageConfigDocument {
  const document = JSON.parse(Buffer.from(bytes).toString("utf8")) as ImageConfigDocument;
  return { ...document, config: document.config ?? {}, history: document.history ?? [] };
}

/** Manifests that are remembered: those of the base images of the builds in a row. */
const keptManifests = 32;

/** Image-service has checked and unpacked it: it is small, and a manifest. */
async function manifestOf(
  { content, manifests }: Clients,
  digest: string,
  signal: AbortSignal,
): Promise<Manifest> {
  const known = manifests.get(digest);
  if (known !== undefined) return known;
  const manifest = parseManifestOrIndex(await wholeBlob(content, digest, signal), "");
  if (manifest.kind !== "manifest") throw internal(`${digest} is no manifest`);
  manifests.set(digest, manifest);
  for (const oldest of manifests.keys()) {
    if (manifests.size <= keptManifests) break;
    manifests.delete(oldest);
  }
  return manifest;
}

async function wholeBlob(
  content: Clients["content"],
  digest: string,
  signal: AbortSignal,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const { data } of content.readBlob({ digest }, { signal })) chunks.push(data);
  return Buffer.concat(chunks);
}

function layersOf(layers: readonly Descriptor[], diffIds: readonly string[]): ExportedLayer[] {
  return layers.map(({ mediaType, digest, size }, index) => ({
    ...{ mediaType, digest, sizeBytes: size },
    diffId: diffIds[index] ?? "",
  }));
}

function referenceName(reference: string): string {
  try {
    return familiarName(withDefaultTag(parseReference(reference)));
  } catch (error) {
    // An ID or a prefix of one.
    if (!hasKind(error, "invalid_argument")) throw error;
    return reference;
  }
}
