/** Between what the use cases say and gantry.image.v1. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Descriptor, type Platform, parsePlatform } from "@gantry/oci";
import {
  type DescriptorSchema,
  type FilterSet,
  type ImageManifestSchema,
  ImageSchema,
  type OverlayMountSchema,
  type PlatformSchema,
  type ProgressMessageSchema,
  type RemovedImageSchema,
  type Platform as WirePlatform,
} from "@gantry/proto/image";
import { encodeRow } from "@gantry/rpc";
import type { RemovalStep } from "../app/remove-image.ts";
import type { MountDescription } from "../app/snapshots.ts";
import type { Filters } from "../domain/filters.ts";
import type { ImageDetails, ManifestDetails } from "../domain/image-details.ts";
import type { Progress } from "../domain/progress.ts";

export function platformOf(wire: WirePlatform | undefined): Platform | undefined {
  if (wire === undefined || (wire.os === "" && wire.architecture === "")) return undefined;
  // One word alone is an operating system or an architecture, and the host says the other.
  if (wire.architecture === "") return parsePlatform(wire.os);
  return {
    os: wire.os,
    architecture: wire.architecture,
    ...(wire.variant !== "" && { variant: wire.variant }),
    ...(wire.osVersion !== "" && { osVersion: wire.osVersion }),
    ...(wire.osFeatures.length > 0 && { osFeatures: wire.osFeatures }),
  };
}

export function platformsOf(wire: readonly WirePlatform[]): Platform[] {
  return wire.map(platformOf).filter((each) => each !== undefined);
}

export function filtersOf(wire: FilterSet | undefined): Filters {
  return new Map(
    Object.entries(wire?.filters ?? {}).map(([key, { values }]) => [key, values] as const),
  );
}

export function wirePlatform(platform: Platform): MessageInitShape<typeof PlatformSchema> {
  return {
    os: platform.os,
    architecture: platform.architecture,
    variant: platform.variant ?? "",
    osVersion: platform.osVersion ?? "",
    osFeatures: [...(platform.osFeatures ?? [])],
  };
}

export function wireDescriptor(descriptor: Descriptor): MessageInitShape<typeof DescriptorSchema> {
  return {
    mediaType: descriptor.mediaType,
    digest: descriptor.digest,
    sizeBytes: BigInt(descriptor.size),
    annotations: { ...descriptor.annotations },
    artifactType: descriptor.artifactType ?? "",
    ...(descriptor.platform !== undefined && { platform: wirePlatform(descriptor.platform) }),
  };
}

export function wireImage(details: ImageDetails): MessageInitShape<typeof ImageSchema> {
  const { chosen } = details;
  return {
    id: details.id,
    target: wireDescriptor(details.target),
    parentId: details.parent,
    repoTags: [...details.repoTags],
    repoDigests: [...details.repoDigests],
    createdNano: details.createdNano,
    sizeBytes: BigInt(details.sizeBytes),
    sharedSizeBytes: BigInt(details.sharedSizeBytes),
    labels: { ...details.labels },
    manifests: details.manifests.map(wireManifest),
    lastTaggedNano: details.lastTaggedNano,
    configDigest: chosen?.manifest?.config.digest ?? "",
    ...(chosen !== undefined && { manifest: wireDescriptor(chosen.descriptor) }),
    diffIds: [...(chosen?.diffIds ?? [])],
    configJson: details.configJson,
    ...(details.platform !== undefined && { platform: wirePlatform(details.platform) }),
  };
}

const rows = new WeakMap<ImageDetails, Uint8Array>();

/** wireImage as a row of ListImages, encoded once for the same details. */
export function imageRow(details: ImageDetails): Uint8Array {
  const known = rows.get(details);
  if (known !== undefined) return known;
  const row = encodeRow(ImageSchema, wireImage(details));
  rows.set(details, row);
  return row;
}

function wireManifest(details: ManifestDetails): MessageInitShape<typeof ImageManifestSchema> {
  const { view } = details;
  return {
    id: view.descriptor.digest,
    descriptor: wireDescriptor(view.descriptor),
    available: details.available,
    contentSizeBytes: BigInt(details.contentSizeBytes),
    unpackedSizeBytes: BigInt(details.unpackedSizeBytes),
    kind: view.kind,
    ...(view.platform !== undefined && { platform: wirePlatform(view.platform) }),
    attestationFor: view.attestationFor,
  };
}

export function wireProgress(progress: Progress): MessageInitShape<typeof ProgressMessageSchema> {
  const { detail } = progress;
  return {
    id: progress.id ?? "",
    status: progress.status ?? "",
    stream: progress.stream ?? "",
    current: BigInt(detail?.current ?? 0),
    total: BigInt(detail?.total ?? 0),
    units: detail?.units ?? "",
    hasProgressDetail: detail !== undefined,
    auxJson: progress.aux ?? "",
  };
}

export function wireRemoval(step: RemovalStep): MessageInitShape<typeof RemovedImageSchema> {
  return "untagged" in step ? { untagged: step.untagged } : { deleted: step.deleted };
}

export function wireMount(mount: MountDescription): MessageInitShape<typeof OverlayMountSchema> {
  return { ...mount, lowerDirs: [...mount.lowerDirs] };
}
