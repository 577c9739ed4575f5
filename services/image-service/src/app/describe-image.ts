/** Makes what clients are told of records and documents. */
import type { Platform } from "@gantry/oci";
import {
  contentSize,
  type ImageDetails,
  type ManifestDetails,
  type SizeOf,
  shownNames,
  totalSize,
  unpackedSize,
} from "../domain/image-details.ts";
import {
  chooseManifest,
  createdNano,
  isAvailable,
  type ManifestView,
  type TargetView,
} from "../domain/image-view.ts";
import type { ImageRecord, NameRecord } from "../domain/records.ts";
import type { Metadata } from "../ports/metadata.ts";
import type { Store } from "./store.ts";

/** What to tell. */
export interface DescribeOptions {
  /** The manifest to show; default: the one for the host, else any. */
  readonly chosen?: ManifestView | undefined;
  readonly manifests?: boolean | undefined;
  readonly configJson?: boolean | undefined;
  /** Names to show; default: all. */
  readonly names?: readonly NameRecord[] | undefined;
  readonly platform?: Platform | undefined;
}

/** Sizes out of the records. */
export function sizesOf(metadata: Pick<Metadata, "blobs" | "snapshots">): SizeOf {
  return {
    blob: (digest) => metadata.blobs.get(digest)?.sizeBytes,
    layer: (chainId) => metadata.snapshots.get(chainId)?.sizeBytes,
  };
}

export async function describeImage(
  store: Store,
  image: ImageRecord,
  options: DescribeOptions = {},
): Promise<ImageDetails> {
  const { metadata, catalog } = store;
  const view = await catalog.view(image.digest);
  const has = metadata.blobs.has.bind(metadata.blobs);
  const chosen = options.chosen ?? chooseManifest(view, store.host, { strict: false, has })?.view;
  const configJson =
    options.configJson && chosen !== undefined
      ? await catalog.configJson(chosen)
      : new Uint8Array();
  const names = options.names ?? metadata.namesOf(image.digest);
  const sizeOf = sizesOf(metadata);
  return {
    id: image.digest,
    target: image.annotations ? { ...view.target, annotations: image.annotations } : view.target,
    parent: image.parent,
    ...shownNames(names, image.digest),
    createdNano: createdNano(chosen?.config),
    sizeBytes: totalSize(view, sizeOf),
    sharedSizeBytes: -1,
    labels: chosen?.config?.config?.Labels ?? {},
    manifests: options.manifests ? describeManifests(store, view) : [],
    lastTaggedNano: lastTagged(metadata.namesOf(image.digest)),
    chosen,
    configJson,
    platform: chosen?.platform,
  };
}

function lastTagged(names: readonly NameRecord[]): bigint {
  let newest = 0n;
  for (const { taggedNano } of names) if (taggedNano > newest) newest = taggedNano;
  return newest;
}

function describeManifests(store: Store, target: TargetView): ManifestDetails[] {
  const { metadata } = store;
  const sizeOf = sizesOf(metadata);
  const has = metadata.blobs.has.bind(metadata.blobs);
  return target.manifests.map((view) => ({
    view,
    available: isAvailable(view, has),
    contentSizeBytes: contentSize([view], [], sizeOf),
    unpackedSizeBytes: unpackedSize([view], sizeOf),
  }));
}
