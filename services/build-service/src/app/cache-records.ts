/** The build cache as records: listed, pruned, kept within its bounds. */
import { statfs } from "node:fs/promises";
import { nowNano } from "@gantry/events";
import type { CacheRecord, PruneRequest } from "../ports/build.ts";
import type { CacheEntry } from "../ports/build-cache.ts";
import type { BuilderParts } from "./builder-parts.ts";
import { leaseOwnerOf } from "./solver.ts";

export async function listRecords(
  parts: BuilderParts,
  signal: AbortSignal,
): Promise<readonly CacheRecord[]> {
  await parts.cacheMounts.measure(signal);
  const layers = await parts.layers.list();
  const entries = parts.cache.list();
  const bySnapshot = new Map(entries.map((entry) => [entry.snapshot, entry.id]));
  const records = entries.map((entry) => {
    const parent = bySnapshot.get(layers.get(entry.snapshot)?.parent ?? "");
    return recordOf(parts, entry, entry.snapshot === "" || parent === undefined ? [] : [parent]);
  });
  return [...records, ...(await parts.keptContexts.list())];
}

function recordOf(parts: BuilderParts, entry: CacheEntry, parents: readonly string[]): CacheRecord {
  const { id, type, description, sizeBytes, createdNano, lastUsedNano, usageCount } = entry;
  const isMount = type === "exec.cachemount";
  return {
    ...{ id, parents, type, description, sizeBytes, createdNano, lastUsedNano, usageCount },
    inUse: isUsed(parts, { id, mutable: isMount }),
    // A layer with a chain ID may be one of an image.
    shared: !isMount && entry.snapshot.startsWith("sha256:"),
    mutable: isMount,
  };
}

function isUsed(
  { cacheMounts, shared }: BuilderParts,
  { id, mutable }: Pick<CacheRecord, "id" | "mutable">,
): boolean {
  return mutable ? cacheMounts.isUsed(id) : shared.inUse.isUsed(id);
}

/** Deletes records, those first that were not used for longest. Yields each. */
export async function* pruneRecords(
  parts: BuilderParts,
  request: PruneRequest,
  signal: AbortSignal,
): AsyncGenerator<CacheRecord> {
  const records = [...(await listRecords(parts, signal))];
  let usedBytes = records.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const oldest = nowNano() - BigInt(request.keepDurationMs) * 1_000_000n;
  const candidates = records
    .filter((record) => !record.inUse && request.matches(record))
    .filter(({ lastUsedNano }) => request.keepDurationMs === 0 || lastUsedNano < oldest)
    .filter((record) => request.all || !record.shared)
    .sort((one, other) => Number(one.lastUsedNano - other.lastUsedNano));
  const isBounded = request.maxUsedBytes > 0 || request.minFreeBytes > 0;
  for (const record of candidates) {
    signal.throwIfAborted();
    if (usedBytes - record.sizeBytes < request.reservedBytes) continue;
    if (isBounded && !(await isOver(parts, request, usedBytes))) return;
    if (!(await removeRecord(parts, record))) continue;
    usedBytes -= record.sizeBytes;
    yield record;
  }
}

async function isOver(
  { scratchDir }: BuilderParts,
  { maxUsedBytes, minFreeBytes }: PruneRequest,
  usedBytes: number,
): Promise<boolean> {
  if (maxUsedBytes > 0 && usedBytes > maxUsedBytes) return true;
  if (minFreeBytes === 0) return false;
  const { bavail, bsize } = await statfs(scratchDir);
  return bavail * bsize < minFreeBytes;
}

/** @returns false when a build has begun to use it since it was listed */
async function removeRecord(
  parts: BuilderParts,
  { id, type, mutable }: CacheRecord,
): Promise<boolean> {
  if (type === "source.local") return await parts.keptContexts.remove(id);
  // From this look until nobody finds it any more nothing else runs.
  if (isUsed(parts, { id, mutable })) return false;
  parts.shared.inUse.remove(id);
  parts.cache.remove(id);
  if (mutable) await parts.cacheMounts.remove(id);
  else await parts.layers.release(leaseOwnerOf(id));
  return true;
}

/** Keeps the cache within its bounds: rule by rule. @returns how many records went */
export async function collectGarbage(
  parts: BuilderParts,
  rules: readonly PruneRequest[],
  signal: AbortSignal,
): Promise<number> {
  let count = 0;
  for (const rule of rules) {
    for await (const _ of pruneRecords(parts, rule, signal)) count += 1;
  }
  return count;
}

/** At start: records whose layers are gone go, and leases that no record has. */
export async function reconcileRecords(parts: BuilderParts): Promise<void> {
  const layers = await parts.layers.list();
  const known = new Set<string>();
  for (const entry of parts.cache.list()) {
    const isThere = entry.snapshot === "" || layers.has(entry.snapshot);
    if (isThere) {
      known.add(leaseOwnerOf(entry.id));
      parts.shared.inUse.add(entry.id);
    } else parts.cache.remove(entry.id);
  }
  for (const owner of await parts.layers.leaseOwners("build-")) {
    if (!known.has(owner)) await parts.layers.release(owner);
  }
}
