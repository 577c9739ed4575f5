/** A whole build: from the client's request, over what it drives itself, to the exported results. */
import type { SolveRequest } from "@gantry/proto/buildkit";
import type { BuildHistory } from "../history/build-history.ts";
import { Recording } from "../history/recorded.ts";
import { checkCacheTargets, exportCaches } from "../solve/cache-exports.ts";
import { importCaches } from "../solve/cache-imports.ts";
import { csvFields } from "../solve/csv.ts";
import type {
  ExportContext,
  ExporterRequest,
  ExporterResponse,
  ImagePusher,
} from "../solve/export-context.ts";
import { checkExporter, hasInlineAttestations, runExporter } from "../solve/exporters.ts";
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
  readonly history: BuildHistory;
}

/** Entitlements that any client may have, as in Docker's default configuration. */
const allowedEntitlements = new Set(["network.host", "device"]);

/** Runs a build and answers with what its exporters say. */
export async function solve(
  options: OuterSolveOptions,
  request: SolveRequest,
  clientSignal: AbortSignal,
): Promise<ExporterResponse> {
  const { jobs, history } = options;
  const exporters = exportersOf(request);
  const entitlements = entitlementsOf(request.entitlements);
  const job = jobs.begin(request.ref, request.session, clientSignal);
  job.entitlements = entitlements;
  let failure: Error | undefined;
  try {
    refuseUnsupported(request, exporters);
    if (request.internal) return await solveJob(options, request, job, exporters);
    const recording = new Recording(history, job, request, exporters);
    job.recording = recording;
    return await recording.of(() => solveJob(options, request, job, exporters));
  } catch (error) {
    failure = error as Error;
    throw error;
  } finally {
    await job.end(failure);
    jobs.forget(job);
  }
}

async function solveJob(
  options: OuterSolveOptions,
  request: SolveRequest,
  job: Job,
  exporters: readonly ExporterRequest[],
): Promise<ExporterResponse> {
  using bridge = new Bridge(options.refs);
  using _driven = options.jobs.drive(job, bridge);
  job.caches = importCaches(options.tools, job, request.cache?.imports ?? []);
  const solved = await solvedBy(options, request, job, bridge);
  if (solved === undefined) return {};
  job.recording?.built(solved);
  const caches = request.cache?.exports ?? [];
  const inlineCache = caches.some(({ type }) => type === "inline");
  const exported = await runExporters(options, job, { ...solved, inlineCache }, exporters);
  const context = contextOf(options, job, { ...solved, inlineCache }, { type: "", attrs: {} });
  return { ...exported, ...(await exportCaches(context, caches)) };
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

type Exported = Solved & { readonly inlineCache: boolean };

/** Runs exporters over a result, one after the other. */
export async function runExporters(
  options: OuterSolveOptions,
  job: Job,
  solved: Exported,
  exporters: readonly ExporterRequest[],
): Promise<ExporterResponse> {
  const responses: ExporterResponse[] = [];
  for (const [index, exporter] of exporters.entries()) {
    const context = contextOf(options, job, solved, exporter);
    const ref = `${job.ref} ${String(index)}`;
    responses.push(await runExporter({ ...context, ref }, exporter, index));
  }
  return Object.assign({}, ...responses) as ExporterResponse;
}

function contextOf(
  { tools, pusher }: OuterSolveOptions,
  job: Job,
  solved: Exported,
  exporter: ExporterRequest,
): ExportContext {
  const names = csvFields(exporter.attrs["name"] ?? "");
  return {
    ref: job.ref,
    builder: tools.builder,
    result: solved.result,
    session: () => tools.sessions.get(job.sessionId, job.signal),
    pusher,
    inlineCache: solved.inlineCache,
    attest: solved.attest(names, hasInlineAttestations(exporter)),
    split: solved.multiPlatform,
    sourceDateEpoch: solved.sourceDateEpoch,
    progress: job.progress,
    signal: job.signal,
  };
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
  for (const exporter of exporters) checkExporter(exporter);
  if (request.sourcePolicySession !== "" || (request.sourcePolicy?.rules.length ?? 0) > 0) {
    throw new WireFailure(codes.unimplemented, "source policies are not supported");
  }
  checkCacheTargets(request.cache?.exports ?? []);
}
