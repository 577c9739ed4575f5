/** The answer of GET /system/df: the lists of old versions, and the usage objects of new ones. */
import type { CacheRecord } from "@gantry/proto/build";
import type { Container } from "@gantry/proto/container";
import type { Image } from "@gantry/proto/image";
import type { Volume } from "@gantry/proto/volume";
import { encodeContainerSummary } from "./container-list.ts";
import { encodeImageSummary } from "./image.ts";
import type { JsonOut } from "./json.ts";
import { rfc3339 } from "./time.ts";
import { opened } from "./version-gates.ts";
import { encodeVolume } from "./volume.ts";

/** What was asked for and found; an absent part was not asked for. */
export interface DiskUsage {
  readonly images: { readonly list: readonly Image[]; readonly layersBytes: bigint } | undefined;
  readonly containers: readonly Container[] | undefined;
  readonly volumes: readonly Volume[] | undefined;
  readonly buildCache: readonly CacheRecord[] | undefined;
}

/** How to show it. */
export interface DiskUsageView {
  readonly version: number;
  readonly verbose: boolean;
  readonly nowMs: number;
}

/** Encodes disk usage. */
export function encodeDiskUsage(usage: DiskUsage, view: DiskUsageView): JsonOut {
  if (!opened("usageObjects", view.version)) return legacy(usage, view);
  const old = view.verbose ? {} : (legacy(usage, view) as Record<string, JsonOut>);
  return { ...usageObjects(usage, view), ...old };
}

function legacy(usage: DiskUsage, view: DiskUsageView): JsonOut {
  return {
    LayersSize: usage.images?.layersBytes ?? 0,
    Images: usage.images ? imageItems(usage, view) : undefined,
    Containers: usage.containers?.map((each) => container(each, view)),
    Volumes: usage.volumes?.map((each) => encodeVolume(each, true)),
    BuildCache: usage.buildCache?.map(cacheRecord),
  };
}

function usageObjects(usage: DiskUsage, view: DiskUsageView): Record<string, JsonOut> {
  const items = (list: () => JsonOut): JsonOut => (view.verbose ? list() : undefined);
  return {
    ImageUsage: usage.images && {
      ...imageTotals(usage),
      Items: items(() => imageItems(usage, view)),
    },
    ContainerUsage: usage.containers && {
      ...containerTotals(usage.containers),
      Items: items(() => usage.containers?.map((each) => container(each, view))),
    },
    VolumeUsage: usage.volumes && {
      ...volumeTotals(usage.volumes),
      Items: items(() => usage.volumes?.map((each) => encodeVolume(each, true))),
    },
    BuildCacheUsage: usage.buildCache && {
      ...cacheTotals(usage.buildCache),
      Items: items(() => usage.buildCache?.map(cacheRecord)),
    },
  };
}

function cacheRecord(record: CacheRecord): JsonOut {
  return {
    ID: record.id,
    Parents: record.parents.length === 0 ? undefined : record.parents,
    Type: record.type,
    Description: record.description,
    InUse: record.inUse,
    Shared: record.shared,
    Size: record.sizeBytes,
    CreatedAt: rfc3339(record.createdNano),
    LastUsedAt: record.lastUsedNano === 0n ? null : rfc3339(record.lastUsedNano),
    UsageCount: record.usageCount,
  };
}

function cacheTotals(list: readonly CacheRecord[]) {
  const size = (each: CacheRecord): bigint => each.sizeBytes;
  return {
    ActiveCount: list.filter(({ inUse }) => inUse).length,
    TotalCount: list.length,
    Reclaimable: sum(list.filter(({ inUse }) => !inUse).map(size)),
    TotalSize: sum(list.map(size)),
  };
}

function container(each: Container, { version, nowMs }: DiskUsageView): JsonOut {
  return encodeContainerSummary(each, version, nowMs);
}

function imageItems(usage: DiskUsage, { version }: DiskUsageView): JsonOut {
  const counts = containersByImage(usage.containers ?? []);
  const countContainers =
    usage.containers === undefined ? undefined : (id: string): number => counts.get(id) ?? 0;
  return (usage.images?.list ?? []).map((image) =>
    encodeImageSummary(image, { version, countContainers, manifests: false }),
  );
}

/** How many containers use each image. */
export function containersByImage(
  containers: readonly Pick<Container, "imageId">[],
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { imageId } of containers) counts.set(imageId, (counts.get(imageId) ?? 0) + 1);
  return counts;
}

function imageTotals(usage: DiskUsage) {
  const list = usage.images?.list ?? [];
  const used = containersByImage(usage.containers ?? []);
  const total = usage.images?.layersBytes ?? 0n;
  // What images in use hold can't be reclaimed; shared parts are counted once, in the total.
  const kept = sum(list.filter(({ id }) => used.has(id)).map((each) => each.sizeBytes));
  return {
    ActiveCount: list.filter(({ id }) => used.has(id)).length,
    TotalCount: list.length,
    Reclaimable: total > kept ? total - kept : 0n,
    TotalSize: total,
  };
}

function containerTotals(list: readonly Container[]) {
  const isActive = ({ state }: Container): boolean => state?.running ?? false;
  const size = (each: Container): bigint => each.sizeRwBytes ?? 0n;
  return {
    ActiveCount: list.filter(isActive).length,
    TotalCount: list.length,
    Reclaimable: sum(list.filter((each) => !isActive(each)).map(size)),
    TotalSize: sum(list.map(size)),
  };
}

function volumeTotals(list: readonly Volume[]) {
  const size = (each: Volume): bigint => (each.sizeBytes < 0n ? 0n : each.sizeBytes);
  return {
    ActiveCount: list.filter(({ refCount }) => refCount > 0n).length,
    TotalCount: list.length,
    Reclaimable: sum(list.filter(({ refCount }) => refCount <= 0n).map(size)),
    TotalSize: sum(list.map(size)),
  };
}

const sum = (values: readonly bigint[]): bigint => values.reduce((a, b) => a + b, 0n);
