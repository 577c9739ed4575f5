/** Rules by which the cache is trimmed: daemon.json's, or dockerd's own. */
import type { BuildCacheRule, BuildCacheSettings, CacheBounds } from "@gantry/config";
import type { CacheRecord, PruneRequest } from "../ports/build.ts";
import { compileRecordFilters } from "./record-filters.ts";

/** A rule, and its filters as BuildKit shows them. */
export interface GcRule extends PruneRequest {
  readonly filters: readonly string[];
}

const day = 24 * 3600 * 1000;

/** Types of records that are had again with the least work. */
const cheap = ["source.local", "exec.cachemount", "source.git.checkout"];

/** All rules, in order. @param diskBytes size of the disk. Throws invalid_argument for bad filters */
export function gcPolicy(
  { enabled, bounds, rules }: BuildCacheSettings,
  diskBytes: number,
): readonly GcRule[] {
  if (!enabled) return [];
  if (rules !== undefined) return rules.map(configured);
  const isGiven = Object.values(bounds).some((bytes) => bytes > 0);
  return dockers(isGiven ? bounds : detected(diskBytes));
}

function configured({ filters, ...rule }: BuildCacheRule): GcRule {
  const values = new Map<string, string[]>();
  for (const each of filters) {
    const [key = "", ...rest] = each.split("=");
    values.set(key, [...(values.get(key) ?? []), rest.join("=")]);
  }
  const shown = filters.filter((each) => !/^(?:until|unused-for)=/.test(each));
  return {
    ...{ ...rule, ...compileRecordFilters(values, Date.now()) },
    filters: shown.map((each) => each.replace("=", "==")),
  };
}

function detected(diskBytes: number): CacheBounds {
  return {
    reservedBytes: Math.floor(diskBytes * 0.1),
    maxUsedBytes: Math.floor(diskBytes * 0.8),
    minFreeBytes: Math.floor(diskBytes * 0.2),
  };
}

function dockers(bounds: CacheBounds): GcRule[] {
  const everything = { filters: [], matches: () => true };
  return [
    {
      ...{ all: false, keepDurationMs: 2 * day, reservedBytes: 0, minFreeBytes: 0 },
      maxUsedBytes: Math.max(512 * 1024 * 1024, Math.floor(bounds.reservedBytes * 0.138)),
      filters: [cheap.map((type) => `type==${type}`).join(",")],
      matches: ({ type }: CacheRecord) => cheap.includes(type),
    },
    {
      ...{ all: false, keepDurationMs: 60 * day, maxUsedBytes: 0, minFreeBytes: 0 },
      ...{ ...everything, reservedBytes: bounds.reservedBytes },
    },
    { all: false, keepDurationMs: 0, ...everything, ...bounds },
    { all: true, keepDurationMs: 0, ...everything, ...bounds },
  ];
}
