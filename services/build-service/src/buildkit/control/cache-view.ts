/** The build cache as `docker buildx du` and `docker builder prune` see it: steps, and kept contexts. */
import type { PruneRequest as WirePruneRequest } from "@gantry/proto/buildkit";
import type { Builder, CacheRecord } from "../../ports/build.ts";
import type { KeptTrees } from "../contexts/kept-trees.ts";
import { recordFilter } from "./record-filter.ts";

/** All records. */
export class CacheView {
  readonly #builder: Builder;
  readonly #trees: KeptTrees;

  constructor(builder: Builder, trees: KeptTrees) {
    this.#builder = builder;
    this.#trees = trees;
  }

  /** Records that match. */
  async list(
    { filters, ageLimitNano }: { filters: readonly string[]; ageLimitNano: bigint },
    signal: AbortSignal,
  ): Promise<readonly CacheRecord[]> {
    const matches = recordFilter(filters);
    const [steps, trees] = await Promise.all([this.#builder.diskUsage(signal), this.#kept()]);
    const before = BigInt(Date.now()) * 1_000_000n - ageLimitNano;
    return [...steps, ...trees].filter(
      (each) => matches(each) && (ageLimitNano === 0n || usedNano(each) < before),
    );
  }

  /** Deletes records that match; yields each. */
  async *prune(request: WirePruneRequest, signal: AbortSignal): AsyncGenerator<CacheRecord> {
    const matches = recordFilter(request.filter);
    const keepDurationMs = Number(request.keepDuration / 1_000_000n);
    yield* this.#builder.prune(
      {
        all: request.all,
        matches,
        keepDurationMs,
        maxUsedBytes: Number(request.maxUsedSpace),
        reservedBytes: Number(request.reservedSpace),
        minFreeBytes: Number(request.minFreeSpace),
      },
      signal,
    );
    const limited = request.maxUsedSpace + request.minFreeSpace + request.reservedSpace > 0n;
    if (limited) return;
    const before = BigInt(Date.now()) * 1_000_000n - request.keepDuration;
    for (const record of await this.#kept()) {
      if (record.inUse || !matches(record) || usedNano(record) > before) continue;
      if (await this.#trees.remove(record.id)) yield record;
    }
  }

  async #kept(): Promise<CacheRecord[]> {
    const nano = (ms: number): bigint => BigInt(Math.round(ms)) * 1_000_000n;
    return (await this.#trees.list()).map((each) => ({
      id: each.id,
      parents: [],
      type: "source.local",
      description: each.description,
      inUse: each.inUse,
      shared: false,
      mutable: true,
      sizeBytes: each.sizeBytes,
      createdNano: nano(each.createdMs),
      lastUsedNano: nano(each.lastUsedMs),
      usageCount: 1,
    }));
  }
}

const usedNano = ({ lastUsedNano, createdNano }: CacheRecord): bigint =>
  lastUsedNano === 0n ? createdNano : lastUsedNano;
