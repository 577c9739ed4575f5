/**
 * `POST /build?version=2`: BuildKit's builder for clients that do not speak its protocol. They get what
 * its Status stream tells, message by message, and the image's ID at the end.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { StatusResponseSchema } from "@gantry/proto/buildkit";
import { asVertex } from "../progress/own-vertex.ts";
import { statusMessage } from "../progress/status-message.ts";
import { importCaches } from "../solve/cache-imports.ts";
import type { ExporterRequest } from "../solve/export-context.ts";
import type { Attributes } from "../solve/frontend-options.ts";
import { type RemoteContext, unpackContext } from "../solve/remote-context.ts";
import { solveDockerfile } from "./dockerfile-solve.ts";
import type { Job } from "./job.ts";
import { type OuterSolveOptions, runExporters } from "./outer-solve.ts";

/** A build as the endpoint's query has it. */
export interface RestBuild {
  /** Unique among running builds. */
  readonly ref: string;
  /** Session that lends credentials, files, secrets; empty: none. */
  readonly sessionId: string;
  /** Attributes of the Dockerfile frontend. */
  readonly attrs: Attributes;
  /** The context's archive; undefined: the attributes, or the session, say where it is. */
  readonly archive: AsyncIterable<Uint8Array> | undefined;
  readonly cacheFrom: readonly string[];
  /** Where the result goes; empty: nowhere. */
  readonly exporters: readonly ExporterRequest[];
}

/** What the client is told. */
export type RestEvent =
  /** A StatusResponse of the control service. */
  | { readonly kind: "trace"; readonly bytes: Uint8Array }
  | { readonly kind: "image"; readonly digest: string };

/** Whoever may use this endpoint may use the host's network by `docker run`, too. */
const entitlements = ["network.host"];

/** Runs it. Throws what the build fails with, when all progress has been told. */
export async function* restBuild(
  options: OuterSolveOptions,
  build: RestBuild,
  clientSignal: AbortSignal,
): AsyncGenerator<RestEvent> {
  const job = options.jobs.begin(build.ref, build.sessionId, clientSignal);
  const building = run(options, build, job).finally(async () => {
    await job.end();
    options.jobs.forget(job);
  });
  // It is awaited below, when the progress has ended.
  building.catch(() => undefined);
  for await (const batch of job.progress.batches(clientSignal)) {
    const message = create(
      StatusResponseSchema,
      statusMessage(batch, () => job.source),
    );
    yield { kind: "trace", bytes: toBinary(StatusResponseSchema, message) };
  }
  const digest = await building;
  if (digest !== undefined) yield { kind: "image", digest };
}

async function run(
  options: OuterSolveOptions,
  build: RestBuild,
  job: Job,
): Promise<string | undefined> {
  const { tools } = options;
  job.entitlements = entitlements;
  const caches = build.cacheFrom.map((ref) => ({ type: "registry", attrs: { ref } }));
  job.caches = importCaches(tools, job, caches);
  const remote = await received(options, build, job);
  const solved = await solveDockerfile(tools, {
    ...{ job, frontend: "dockerfile.v0", attrs: build.attrs, entitlements },
    ...{ results: new Map(), signal: job.signal },
    ...(remote !== undefined && { remote }),
  });
  const inlineCache = /^(1|true)$/.test(build.attrs["build-arg:BUILDKIT_INLINE_CACHE"] ?? "");
  const response = await runExporters(options, job, { ...solved, inlineCache }, build.exporters);
  return response["containerimage.digest"];
}

async function received(
  { tools }: OuterSolveOptions,
  { archive }: RestBuild,
  job: Job,
): Promise<RemoteContext | undefined> {
  if (archive === undefined) return undefined;
  const name = "[internal] load remote build context";
  const context = await asVertex(job.progress, { key: `${job.ref} ${name}`, name }, () =>
    unpackContext(tools.remote, archive, job.signal),
  );
  return job.keep(context);
}
