/** `docker images`. */
import { notFound } from "@gantry/errors";
import type { Digest } from "@gantry/oci";
import {
  booleanFilter,
  checkFilterKeys,
  type Filters,
  labelsMatch,
  referenceMatches,
  untilFilter,
} from "../domain/filters.ts";
import type { ImageDetails } from "../domain/image-details.ts";
import { contentOf, createdNano, type TargetView } from "../domain/image-view.ts";
import type { ImageRecord, NameRecord } from "../domain/records.ts";
import { describeImage, sizesOf } from "./describe-image.ts";
import { findImage } from "./find-image.ts";
import type { Store } from "./store.ts";

const filterKeys = ["dangling", "label", "label!", "before", "since", "reference", "until"];

export interface ListRequest {
  /** Also images without name that others were made of. */
  readonly all: boolean;
  readonly filters: Filters;
  readonly sharedSize: boolean;
  readonly manifests: boolean;
}

/** Newest first. An image that cannot be read is left out and logged. */
export async function listImages(store: Store, request: ListRequest): Promise<ImageDetails[]> {
  checkFilterKeys(request.filters, filterKeys);
  const accepts = await imageFilter(store, request.filters);
  const patterns = request.filters.get("reference") ?? [];
  const found: ImageDetails[] = [];
  for (const image of [...store.metadata.images.values()]) {
    const names = matchingNames(store.metadata.namesOf(image.digest), patterns);
    if (names === undefined) continue;
    if (!request.all && isIntermediate(store, image.digest)) continue;
    const details =
      knownDetails(store, image, names, request.manifests) ??
      (await describe(store, image, names, request.manifests));
    if (details !== undefined && accepts(details)) found.push(details);
  }
  found.sort(
    (one, other) => compare(other.createdNano, one.createdNano) || (one.id < other.id ? -1 : 1),
  );
  return request.sharedSize ? withSharedSizes(store, found) : found;
}

/** Without a name, and others were made of it. */
function isIntermediate({ metadata }: Store, image: Digest): boolean {
  return metadata.namesOf(image).length === 0 && metadata.childrenOf(image).size > 0;
}

/** Undefined: the image has no name that the filter wants. */
function matchingNames(
  names: readonly NameRecord[],
  patterns: readonly string[],
): readonly NameRecord[] | undefined {
  if (patterns.length === 0) return names;
  const matching = names.filter(({ name }) => referenceMatches(name, patterns));
  return matching.length === 0 ? undefined : matching;
}

/** What was told of an image, and what it was made of. */
interface Told {
  readonly details: ImageDetails;
  readonly view: TargetView | undefined;
  readonly names: readonly NameRecord[];
  readonly contentRevision: number;
}

const told = new WeakMap<ImageRecord, Told>();

/** The same details as last time, while nothing has changed that they show. */
function knownDetails(
  { metadata, catalog }: Store,
  image: ImageRecord,
  names: readonly NameRecord[],
  manifests: boolean,
): ImageDetails | undefined {
  const known = told.get(image);
  if (manifests || known?.contentRevision !== metadata.contentRevision) return undefined;
  const view = catalog.cached(image.digest);
  const same = view !== undefined && known.view === view && known.names === names;
  return same ? known.details : undefined;
}

async function describe(
  store: Store,
  image: ImageRecord,
  names: readonly NameRecord[],
  manifests: boolean,
): Promise<ImageDetails | undefined> {
  try {
    const { contentRevision } = store.metadata;
    const details = await describeImage(store, image, { names, manifests });
    const view = store.catalog.cached(image.digest);
    const whole = !manifests && names === store.metadata.namesOf(image.digest);
    if (whole) told.set(image, { details, view, names, contentRevision });
    return details;
  } catch (error) {
    // It may have been removed since the loop began.
    if (store.metadata.images.has(image.digest)) {
      store.logger.warn({ err: error, image: image.digest }, "image cannot be read");
    }
    return undefined;
  }
}

async function imageFilter(
  store: Store,
  filters: Filters,
): Promise<(details: ImageDetails) => boolean> {
  const dangling = booleanFilter(filters, "dangling");
  const until = untilFilter(filters, store.nowNano());
  const before = await createdOf(store, filters.get("before"));
  const since = await createdOf(store, filters.get("since"));
  return (details) =>
    (dangling === undefined || (details.repoDigests.length === 0) === dangling) &&
    (until === undefined || addedNano(store, details) < until) &&
    (before === undefined || details.createdNano < before) &&
    (since === undefined || details.createdNano > since) &&
    labelsMatch(details.labels, filters);
}

/** When an image came here: what `until` is about, whenever the image was made. */
export function addedNano({ metadata }: Store, { id, createdNano }: ImageDetails): bigint {
  return metadata.images.get(id)?.addedNano ?? createdNano;
}

async function createdOf(
  store: Store,
  names: readonly string[] | undefined,
): Promise<bigint | undefined> {
  const [name] = names ?? [];
  if (name === undefined) return undefined;
  const { image } = findImage(store.metadata, name);
  const view = await store.catalog.view(image.digest);
  const [first] = view.manifests.filter(({ config }) => config !== undefined);
  if (first === undefined) throw notFound("image", name);
  return createdNano(first.config);
}

/** Bytes of an image's layers and content that other images have, too. */
export function withSharedSizes(store: Store, images: readonly ImageDetails[]): ImageDetails[] {
  const uses = new Map<string, number>();
  for (const image of store.metadata.images.values()) {
    const view = store.catalog.cached(image.digest);
    if (view === undefined) continue;
    for (const part of partsOf(view)) uses.set(part, (uses.get(part) ?? 0) + 1);
  }
  const sizeOf = sizesOf(store.metadata);
  return images.map((image) => {
    const view = store.catalog.cached(image.id);
    let shared = 0;
    for (const part of view === undefined ? [] : partsOf(view)) {
      if ((uses.get(part) ?? 0) < 2) continue;
      const [type, id] = [part.slice(0, 1), part.slice(2)];
      shared +=
        (type === "c" ? sizeOf.layer(id) : store.metadata.blobs.get(id as never)?.sizeBytes) ?? 0;
    }
    return { ...image, sharedSizeBytes: shared };
  });
}

/** Layers (`c <chain ID>`) and blobs (`b <digest>`) of an image. */
function partsOf(view: TargetView): Set<string> {
  const parts = new Set<string>();
  for (const manifest of view.manifests) {
    for (const chain of manifest.chain) parts.add(`c ${chain}`);
    for (const { digest } of contentOf(manifest)) parts.add(`b ${digest}`);
  }
  return parts;
}

function compare(one: bigint, other: bigint): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
