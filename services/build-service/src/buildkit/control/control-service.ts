/** The control service: builds, their progress, the cache. Translates only. */
import { once } from "node:events";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { EngineError } from "@gantry/errors";
import {
  Control,
  type PruneRequest,
  type SolveRequest,
  type StatusRequest,
  type StatusResponseSchema,
  type UsageRecordSchema,
} from "@gantry/proto/buildkit";
import type { GcRule } from "../../app/gc-policy.ts";
import type { CacheRecord } from "../../ports/build.ts";
import type { WorkerFacts } from "../../ports/worker-facts.ts";
import { statusMessage, timestamp } from "../progress/status-message.ts";
import { toConnectError } from "../wire/server.ts";
import type { CacheView } from "./cache-view.ts";
import { type OuterSolveOptions, solve } from "./outer-solve.ts";
import { acceptTunnel } from "./session-tunnel.ts";
import { builderVersion, workerRecord } from "./worker.ts";

/** What the handlers work with. */
export interface ControlServiceOptions extends OuterSolveOptions {
  readonly cache: CacheView;
  /** Shown to clients. */
  readonly policy: readonly GcRule[];
  readonly facts: WorkerFacts;
}

/** Registers the service. */
export function registerControl(router: ConnectRouter, options: ControlServiceOptions): void {
  const { tools, cache, policy, facts } = options;
  router.service(Control, {
    solve: (request, { signal }) => one(solved(options, request, signal)),
    status: (request, context) => {
      context.responseHeader.set("buildkit-current-timestamp", new Date().toISOString());
      return many(statuses(options, request, context));
    },
    session: (messages, context) => many(acceptTunnel(tools.sessions, messages, context)),
    listWorkers: async (_request, { signal }) => ({
      record: [await one(workerRecord(policy, facts, signal))],
    }),
    info: () => ({ buildkitVersion: builderVersion }),
    diskUsage: ({ filter, ageLimit }, { signal }) =>
      one(cache.list({ filters: filter, ageLimitNano: ageLimit }, signal)).then((records) => ({
        record: records.map(usageRecord),
      })),
    prune: (request, { signal }) => many(pruned(cache, request, signal)),
    listenBuildHistory: ({ earlyExit }, context) => {
      context.responseHeader.set("buildkit-current-timestamp", new Date().toISOString());
      return noHistory(earlyExit, context.signal);
    },
    updateBuildHistory: ({ ref }) => {
      throw toConnectError(new EngineError("not_found", `failed to retrieve ref ${ref}`));
    },
  });
}

async function solved(
  options: ControlServiceOptions,
  request: SolveRequest,
  signal: AbortSignal,
): Promise<{ exporterResponse: Record<string, string> }> {
  return { exporterResponse: { ...(await solve(options, request, signal)) } };
}

async function* statuses(
  { jobs }: ControlServiceOptions,
  { ref }: StatusRequest,
  { signal }: HandlerContext,
): AsyncGenerator<MessageInitShape<typeof StatusResponseSchema>> {
  const job = await jobs.get(ref, signal);
  for await (const batch of job.progress.batches(signal)) {
    yield statusMessage(batch, () => job.source);
  }
}

/** No build is remembered: there is nothing to tell, now or (unless the client wants to leave) later. */
async function* noHistory(earlyExit: boolean, signal: AbortSignal): AsyncGenerator<never> {
  if (earlyExit || signal.aborted) return;
  await once(signal, "abort");
}

async function* pruned(
  cache: CacheView,
  request: PruneRequest,
  signal: AbortSignal,
): AsyncGenerator<MessageInitShape<typeof UsageRecordSchema>> {
  for await (const record of cache.prune(request, signal)) yield usageRecord(record);
}

function usageRecord(record: CacheRecord): MessageInitShape<typeof UsageRecordSchema> {
  const { id, mutable, inUse, sizeBytes, description, type, shared, parents, usageCount } = record;
  return {
    id,
    mutable,
    inUse,
    size: BigInt(sizeBytes),
    createdAt: timestamp(record.createdNano),
    ...(record.lastUsedNano > 0n && { lastUsedAt: timestamp(record.lastUsedNano) }),
    usageCount: BigInt(usageCount),
    description,
    recordType: type,
    shared,
    parents: [...parents],
  };
}

async function one<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw toConnectError(error);
  }
}

async function* many<T>(answers: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* answers;
  } catch (error) {
    throw toConnectError(error);
  }
}
