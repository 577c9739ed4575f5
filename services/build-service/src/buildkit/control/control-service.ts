/** The control service: builds, their progress, the cache. Translates only. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
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
import { pastStatus, registerContent, updateHistory } from "../history/history-service.ts";
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
  const { tools, cache, policy, facts, history } = options;
  registerContent(router, history);
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
    listenBuildHistory: (request, context) => {
      context.responseHeader.set("buildkit-current-timestamp", new Date().toISOString());
      // The client looks through what it is told for what its filters mean.
      const limit = request.filter.length > 0 ? 0 : request.limit;
      return many(history.listen({ ...request, limit }, context.signal));
    },
    updateBuildHistory: (request) => one(updateHistory(history, request)),
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
  { jobs, history }: ControlServiceOptions,
  { ref }: StatusRequest,
  { signal }: HandlerContext,
): AsyncGenerator<MessageInitShape<typeof StatusResponseSchema>> {
  const past = history.find(ref)?.logs;
  if (past !== undefined) {
    yield* pastStatus(history, past.digest);
    return;
  }
  const job = await jobs.get(ref, signal);
  for await (const batch of job.progress.batches(signal)) {
    yield statusMessage(batch, () => job.source);
  }
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
