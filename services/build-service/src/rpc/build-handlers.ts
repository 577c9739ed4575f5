/** gantry.build.v1.BuildService: translation only. */
import { randomUUID } from "node:crypto";
import { internal, invalidArgument, toEngineError } from "@gantry/errors";
import { type Platform, parseReference } from "@gantry/oci";
import type { BuildLimits, BuildService, BuildRequest as WireRequest } from "@gantry/proto/build";
import type { RegistryAuth } from "@gantry/proto/image";
import type { DataListener, Handlers } from "@gantry/rpc";
import type { Activity } from "../app/activity.ts";
import type { BuilderParts } from "../app/builder-parts.ts";
import { listRecords, pruneRecords } from "../app/cache-records.ts";
import {
  type ClassicEvent,
  type ClassicRequest,
  checkDockerfile,
  classicBuild,
  openClassicContext,
} from "../app/classic/classic-build.ts";
import { Outbox } from "../app/classic/outbox.ts";
import { compilePruneFilters } from "../app/record-filters.ts";
import type { BuildkitFront } from "../buildkit/front.ts";
import type { RunLimits } from "../ports/build.ts";
import type { Credential } from "../ports/build-inputs.ts";
import { exportersOf, restBuildOf, restMessageOf } from "./rest-build.ts";
import { offerUpload } from "./upload.ts";

export function buildHandlers(
  parts: BuilderParts,
  front: Pick<BuildkitFront, "restBuild">,
  data: DataListener,
  activity: Activity,
): Handlers<typeof BuildService> {
  const running = new Map<string, AbortController>();
  return {
    async *build(wire, { signal }) {
      using _busy = activity.begin();
      const cancel = new AbortController();
      if (wire.buildId !== "") running.set(wire.buildId, cancel);
      try {
        const until = AbortSignal.any([signal, cancel.signal]);
        if (wire.buildkit) yield* answerBuildkit(front, data, wire, until);
        else yield* answerBuild(parts, data, wire, until);
      } finally {
        cancel.abort();
        running.delete(wire.buildId);
      }
    },

    cancelBuild({ buildId }) {
      running.get(buildId)?.abort();
      return Promise.resolve({});
    },

    async pruneCache({ all, filters, reservedBytes, maxUsedBytes, minFreeBytes }, { signal }) {
      using _busy = activity.begin();
      const values = Object.entries(filters?.filters ?? {}).map(
        ([key, each]) => [key, each.values] as const,
      );
      const { matches, keepDurationMs } = compilePruneFilters(new Map(values), Date.now());
      const request = {
        ...{ all, matches, keepDurationMs },
        reservedBytes: Number(reservedBytes),
        maxUsedBytes: Number(maxUsedBytes),
        minFreeBytes: Number(minFreeBytes),
      };
      const deleted: string[] = [];
      let space = 0;
      for await (const record of pruneRecords(parts, request, signal)) {
        deleted.push(record.id);
        space += record.sizeBytes;
      }
      await parts.layers.recordPrune(space);
      return { deleted, spaceReclaimedBytes: BigInt(space) };
    },

    async getDiskUsage(_request, { signal }) {
      const records = await listRecords(parts, signal);
      return {
        records: records.map(({ parents, sizeBytes, usageCount, ...record }) => ({
          ...record,
          parents: [...parents],
          sizeBytes: BigInt(sizeBytes),
          usageCount: BigInt(usageCount),
        })),
      };
    },
  };
}

async function* answerBuild(
  parts: BuilderParts,
  data: DataListener,
  wire: WireRequest,
  signal: AbortSignal,
) {
  const request = classicRequest(wire);
  checkTags(request.tags);
  const upload = request.remote === "" ? offerUpload(data, signal) : undefined;
  if (upload !== undefined) yield { data: upload.endpoint };
  await using context = await openClassicContext(parts, request, upload?.body, signal);
  checkDockerfile(context, request.build.target);
  const outbox = new Outbox<ClassicEvent>();
  const build = classicBuild(
    parts,
    request,
    context,
    (event) => {
      outbox.put(event);
    },
    signal,
  ).finally(() => {
    outbox.end();
  });
  build.catch(() => undefined);
  for await (const event of outbox) yield messageOf(event);
  await build;
}

async function* answerBuildkit(
  front: Pick<BuildkitFront, "restBuild">,
  data: DataListener,
  wire: WireRequest,
  signal: AbortSignal,
) {
  const exporters = exportersOf(wire);
  const upload = wire.remote === "" ? offerUpload(data, signal) : undefined;
  const build = { ...restBuildOf(wire, upload?.body), exporters };
  if (upload !== undefined) yield { data: upload.endpoint };
  try {
    for await (const event of front.restBuild(build, signal)) yield restMessageOf(event);
  } catch (error) {
    yield { error: { message: toEngineError(error).message, code: 0 } };
  }
}

/** Before the build, which would be for nothing. */
function checkTags(tags: readonly string[]): void {
  for (const tag of tags) {
    try {
      parseReference(tag);
    } catch (error) {
      throw internal(toEngineError(error).message, { cause: error });
    }
  }
}

function messageOf(event: ClassicEvent) {
  switch (event.kind) {
    case "stream":
      return { progress: { stream: event.text } };
    case "aux":
      return { progress: { auxJson: JSON.stringify({ ID: event.imageId }) } };
    case "pull": {
      const { id, status, current, total, hasDetail } = event.step;
      const counts = { current: BigInt(current), total: BigInt(total) };
      return { progress: { id, status, ...counts, hasProgressDetail: hasDetail } };
    }
    case "error":
      return { error: { message: event.message, code: event.code } };
  }
}

function classicRequest(wire: WireRequest): ClassicRequest {
  const { platform } = wire;
  return {
    build: {
      id: randomUUID(),
      target: wire.target,
      buildArgs: new Map(wire.buildArgs.map(({ name, value }) => [name, value])),
      labels: new Map(Object.entries(wire.labels)),
      platforms: platform === undefined ? [] : [platformOf(platform)],
      noCache: wire.noCache,
      noCacheStages: [],
      pull: wire.pull,
      networkMode: wire.networkMode === "" ? "default" : wire.networkMode,
      // Whoever may use this endpoint may use the host's network by `docker run`, too.
      entitlements: ["network.host"],
      extraHosts: wire.extraHosts,
      hostname: "",
      defaultHostname: "",
      limits: limitsOf(wire.limits),
      cacheMountNamespace: "",
      sourceDateEpoch: undefined,
      leave: wire.forceRemove ? "none" : wire.remove ? "failed" : "all",
      order: "sequential",
    },
    dockerfile: wire.dockerfile,
    remote: wire.remote,
    tags: wire.tags,
    quiet: wire.quiet,
    cacheFrom: wire.cacheFrom,
    remove: wire.remove || wire.forceRemove,
    forceRemove: wire.forceRemove,
    registryAuth: new Map(
      Object.entries(wire.registryAuth).map(([host, auth]) => [host, credentialOf(auth)]),
    ),
  };
}

function platformOf(wire: NonNullable<WireRequest["platform"]>): Platform {
  const { os, architecture, variant } = wire;
  if (os === "" || architecture === "") throw invalidArgument("invalid platform");
  return { os, architecture, ...(variant !== "" && { variant }) };
}

function credentialOf({ username, password, identityToken }: RegistryAuth): Credential {
  return { username, password, identityToken };
}

function limitsOf(limits: BuildLimits | undefined): RunLimits {
  return {
    memoryBytes: Number(limits?.memoryBytes ?? 0n),
    memorySwapBytes: Number(limits?.memorySwapBytes ?? 0n),
    cpuShares: Number(limits?.cpuShares ?? 0n),
    cpuPeriodUs: Number(limits?.cpuPeriodUs ?? 0n),
    cpuQuotaUs: Number(limits?.cpuQuotaUs ?? 0n),
    cpusetCpus: limits?.cpusetCpus ?? "",
    cpusetMems: limits?.cpusetMems ?? "",
    cgroupParent: limits?.cgroupParent ?? "",
    shmSizeBytes: Number(limits?.shmSizeBytes ?? 0n),
    ulimits: (limits?.ulimits ?? []).map(({ name, soft, hard }) => ({
      name,
      soft: Number(soft),
      hard: Number(hard),
    })),
  };
}
