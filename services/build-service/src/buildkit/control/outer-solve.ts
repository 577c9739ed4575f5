/** A whole build: from the client's request, over what it drives itself, to the exported results. */
import type { SolveRequest } from "@gantry/proto/buildkit";
import { importCaches } from "../solve/cache-imports.ts";
import { csvFields } from "../solve/csv.ts";
import {
  type ExporterRequest,
  type ExporterResponse,
  exporterOf,
  type ImagePusher,
  runExporter,
} from "../solve/exporters.ts";
import { codes, WireFailure } from "../wire/failure.ts";
import { Bridge, type ResultRefs, type Solved } from "./bridge.ts";
import { type SolveTools, solveDockerfile } from "./dockerfile-solve.ts";
import type { Job, Jobs } from "./job.ts";

/** What builds are made with. */
export interface OuterSolveOptions {
  readonly jobs: Jobs;
  readonly refs: ResultRefs;
  readonly tools: SolveTools;
  readonly pusher: ImagePusher;
}

/** Entitlements that any client may have, as in Docker's default configuration. */
const allowedEntitlements = new Set(["network.host", "device"]);

/** Runs a build and answers with what its exporters say. */
export async function solve(
  options: OuterSolveOptions,
  request: SolveRequest,
  clientSignal: AbortSignal,
): Promise<ExporterResponse> {
  const { jobs, refs } = options;
  const exporters = exportersOf(request);
  const entitlements = entitlementsOf(request.entitlements);
  const job = jobs.begin(request.ref, request.session, clientSignal);
  try {
    job.entitlements = entitlements;
    refuseUnsupported(request, exporters);
    using bridge = new Bridge(refs);
    job.bridge = bridge;
    job.caches = importCaches(options.tools, job, request.cache?.imports ?? []);
    const solved = await solvedBy(options, request, job, bridge);
    if (solved === undefined) return {};
    const inlineCache = (request.cache?.exports ?? []).some(({ type }) => type === "inline");
    return await runExporters(options, job, { ...solved, inlineCache }, exporters);
  } finally {
    await job.end();
    jobs.forget(job);
  }
}

/** A frontend named in the request is run here; else the client runs what it likes, and returns. */
async function solvedBy(
  options: OuterSolveOptions,
  request: SolveRequest,
  job: Job,
  bridge: Bridge,
): Promise<Solved | undefined> {
  if (request.frontend === "") return await bridge.returned(job.signal);
  return await solveDockerfile(options.tools, {
    job,
    frontend: request.frontend,
    attrs: request.frontendAttrs,
    entitlements: job.entitlements,
    results: new Map(),
    signal: job.signal,
  });
}

/** Runs exporters over a result, one after the other. */
export async function runExporters(
  { tools, pusher }: OuterSolveOptions,
  job: Job,
  solved: Solved & { readonly inlineCache: boolean },
  exporters: readonly ExporterRequest[],
): Promise<ExporterResponse> {
  const responses: ExporterResponse[] = [];
  for (const [index, exporter] of exporters.entries()) {
    const context = {
      ref: `${job.ref} ${String(index)}`,
      builder: tools.builder,
      result: solved.result,
      session: () => tools.sessions.get(job.sessionId, job.signal),
      pusher,
      inlineCache: solved.inlineCache,
      attest: solved.attest(csvFields(exporter.attrs["name"] ?? "")),
      split: solved.multiPlatform,
      progress: job.progress,
      signal: job.signal,
    };
    responses.push(await runExporter(context, exporter, index));
  }
  return Object.assign({}, ...responses) as ExporterResponse;
}

function exportersOf(request: SolveRequest): ExporterRequest[] {
  const { exporters, exporterDeprecated: type, exporterAttrsDeprecated: attrs } = request;
  const list = exporters.length > 0 || type === "" ? exporters : [{ type, attrs }];
  return list
    .filter((each) => each.type !== "" && each.type !== "cacheonly")
    .map((each) => ({ type: each.type, attrs: each.attrs }));
}

function entitlementsOf(asked: readonly string[]): string[] {
  for (const each of asked) {
    if (allowedEntitlements.has(each.split("=")[0] ?? "")) continue;
    throw new WireFailure(
      codes.unknown,
      `granting entitlement ${each} is not allowed by build daemon configuration`,
    );
  }
  return [...asked];
}

function refuseUnsupported(request: SolveRequest, exporters: readonly ExporterRequest[]): void {
  for (const { type } of exporters) exporterOf(type);
  if (request.sourcePolicySession !== "" || (request.sourcePolicy?.rules.length ?? 0) > 0) {
    throw new WireFailure(codes.unimplemented, "source policies are not supported");
  }
  for (const { type } of request.cache?.exports ?? []) {
    if (type === "inline") continue;
    throw new WireFailure(codes.unimplemented, `cache export of type ${type} is not supported`);
  }
}
