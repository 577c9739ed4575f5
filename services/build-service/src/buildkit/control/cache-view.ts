/** The build cache as `docker buildx du` and `docker buildx prune` see it. */
import type { PruneRequest as WirePruneRequest } from "@gantry/proto/buildkit";
import type { Builder, CacheRecord } from "../../ports/build.ts";
import { recordFilter } from "./record-filter.ts";

/** All records. */
export class CacheView {
  readonly #builder: Builder;

  constructor(builder: Builder) {
    this.#builder = builder;
  }

  /** Records that match. */
  async list(
    { filters, ageLimitNano }: { filters: readonly string[]; ageLimitNano: bigint },
    signal: AbortSignal,
  ): Promise<readonly CacheRecord[]> {
    const matches = recordFilter(filters);
    const records = await this.#builder.diskUsage(signal);
    const before = BigInt(Date.now()) * 1_000_000n - ageLimitNano;
    return records.filter(
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
  }
}

const usedNano = ({ lastUsedNano, createdNano }: CacheRecord): bigint =>
  lastUsedNano === 0n ? createdNano : lastUsedNano;
