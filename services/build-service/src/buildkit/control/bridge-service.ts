/** The gateway's calls: what clients ask while they drive a build. Translates only. */

import { createHash } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { EngineError } from "@gantry/errors";
import { formatPlatform, hostPlatform } from "@gantry/oci";
import { type Definition, type DefinitionSchema, gateway, OpSchema } from "@gantry/proto/buildkit";
import type { BuildResult, PlatformResult } from "../../ports/build.ts";
import type { WorkerFacts } from "../../ports/worker-facts.ts";
import type { RemoteContext } from "../solve/remote-context.ts";
import { subrequestOf } from "../solve/subrequests.ts";
import { WireFailure } from "../wire/failure.ts";
import { toConnectError } from "../wire/server.ts";
import type { ResultRefs, Solved } from "./bridge.ts";
import { registerFiles } from "./bridge-files.ts";
import { frontendCaps, llbCaps } from "./caps.ts";
import {
  answerSubrequest,
  type SolveInput,
  type SolveTools,
  solveDockerfile,
} from "./dockerfile-solve.ts";
import { graphContext, solveGraph } from "./graph-solve.ts";
import type { DrivenJob, Job, Jobs } from "./job.ts";
import { workerRecord } from "./worker.ts";

type ResultInit = MessageInitShape<typeof gateway.ResultSchema>;
type DefinitionInit = MessageInitShape<typeof DefinitionSchema>;

/** What the handlers work with. */
export interface BridgeServiceOptions {
  readonly jobs: Jobs;
  readonly refs: ResultRefs;
  readonly tools: SolveTools;
  readonly facts: WorkerFacts;
}

/** Which build a call is about. */
const buildKey = "buildkit-controlapi-buildid";

/** Identifiers of sources that are results of ours. */
const resultScheme = "gantry-result://";

/** Registers the service. */
export function registerBridge(router: ConnectRouter, options: BridgeServiceOptions): void {
  const { jobs, tools, facts } = options;
  const { method } = gateway.LLBBridge;
  const find = async (context: HandlerContext): Promise<DrivenJob> => {
    const ref = context.requestHeader.get(buildKey);
    if (ref === null) throw new EngineError("invalid_argument", "no build ID in the request");
    return await jobs.driven(ref, context.signal);
  };
  router.rpc(
    method.ping,
    translated(async (_request, context) => {
      await find(context);
      const workers = [await workerRecord([], facts, context.signal)];
      return { frontendApiCaps: frontendCaps, llbCaps, workers };
    }),
  );
  router.rpc(
    method.solve,
    translated(async (request: gateway.SolveRequest, context) => {
      const { job, bridge } = await find(context);
      if (request.frontend === "") return await solveGraph(tools, { job, bridge }, request);
      const { frontend, frontendOpt: attrs } = request;
      const inputs = await inputsOf(options, job, request.frontendInputs);
      const { entitlements } = job;
      const input = { job, frontend, attrs, entitlements, ...inputs, signal: context.signal };
      const asked = subrequestOf(attrs);
      if (asked !== undefined) {
        return { result: { metadata: encoded(await answerSubrequest(tools, input, asked)) } };
      }
      job.recording?.frontend(frontend, attrs);
      const solved = await solveDockerfile(tools, input);
      return { result: resultMessage(solved, bridge.add(solved)) };
    }),
  );
  router.rpc(
    method.evaluate,
    translated(async ({ ref }: gateway.EvaluateRequest, context) => {
      const { bridge } = await find(context);
      await bridge.evaluate(ref);
      return {};
    }),
  );
  registerFiles(router, tools.remote.files, translated, async (ref, context) => {
    const { bridge } = await find(context);
    return await bridge.graph(ref).root();
  });
  router.rpc(
    method.return,
    translated(async (request: gateway.ReturnRequest, context) => {
      const { bridge } = await find(context);
      const { error, result } = request;
      if (error === undefined || error.code === 0) bridge.return({ refs: refsOf(result) });
      else bridge.fail(new WireFailure(error.code, error.message, error.details));
      return {};
    }),
  );
}

const encoded = (entries: Readonly<Record<string, string>>): NonNullable<ResultInit["metadata"]> =>
  Object.fromEntries(
    Object.entries(entries).map(([key, text]) => [key, new TextEncoder().encode(text)]),
  );

type Unary<I, O> = (request: I, context: HandlerContext) => Promise<O>;

function translated<I, O>(handler: Unary<I, O>): Unary<I, O> {
  return async (request, context) => {
    try {
      return await handler(request, context);
    } catch (error) {
      throw toConnectError(error);
    }
  };
}

function refsOf(result: gateway.Result | undefined): string[] {
  switch (result?.result.case) {
    case "ref":
      return [result.result.value.id];
    case "refs":
      return Object.values(result.result.value.refs).map(({ id }) => id);
    case "refDeprecated":
      return [result.result.value];
    case "refsDeprecated":
      return Object.values(result.result.value.refs);
    default:
      return [];
  }
}

function resultMessage(solved: Solved, ids: readonly string[]): ResultInit {
  const { platforms } = solved.result;
  const named = platforms.map((each, i) => ({
    key: formatPlatform(each.platform),
    each,
    ref: { id: ids[i] ?? "", def: resultDefinition(ids[i] ?? "") },
  }));
  const encode = (value: unknown): Uint8Array<ArrayBuffer> =>
    new TextEncoder().encode(JSON.stringify(value));
  const list = named.map(({ key, each }) => ({ ID: key, Platform: each.platform }));
  const metadata = Object.fromEntries(
    named.map(({ key, each }) => [
      solved.multiPlatform ? `containerimage.config/${key}` : "containerimage.config",
      encode(configOf(each)),
    ]),
  );
  metadata["refs.platforms"] = encode({ Platforms: list });
  const [first] = named;
  return {
    metadata,
    result: solved.multiPlatform
      ? {
          case: "refs",
          value: { refs: Object.fromEntries(named.map(({ key, ref }) => [key, ref])) },
        }
      : { case: "ref", value: first?.ref ?? {} },
  };
}

const configOf = ({ config }: PlatformResult): object => ({
  ...config,
  rootfs: { type: "layers", diff_ids: [] },
});

/** A graph that is only a name of ours: what a build that takes this result as its input sends back. */
function resultDefinition(id: string): DefinitionInit {
  const { os, architecture } = hostPlatform();
  const source = toBinary(
    OpSchema,
    create(OpSchema, {
      op: { case: "source", value: { identifier: `${resultScheme}${id}` } },
      platform: { os, architecture },
    }),
  );
  const digest = digestOf(source);
  const head = toBinary(OpSchema, create(OpSchema, { inputs: [{ digest, index: 0n }] }));
  return { def: [source, head], metadata: { [digest]: {}, [digestOf(head)]: {} } };
}

const digestOf = (bytes: Uint8Array): string =>
  `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** Results of ours that inputs name, and files of graphs that the client made. */
async function inputsOf(
  { refs, tools }: BridgeServiceOptions,
  job: Job,
  inputs: Readonly<Record<string, Definition>>,
): Promise<Pick<SolveInput, "results" | "files" | "remote">> {
  const results = new Map<string, BuildResult>();
  const files = new Map<string, RemoteContext>();
  const graphs = new Map<string, Promise<RemoteContext>>();
  for (const [key, definition] of Object.entries(inputs)) {
    const ops = definition.def.map((bytes) => fromBinary(OpSchema, bytes));
    const source = ops.map(({ op }) => op).find((op) => op.case === "source");
    const identifier = source?.value.identifier ?? "";
    if (identifier.startsWith(resultScheme)) {
      results.set(key, refs.get(identifier.slice(resultScheme.length)).result);
      continue;
    }
    const end = digestOf(definition.def.at(-1) ?? new Uint8Array());
    const graph = graphs.get(end) ?? graphContext(tools, job, definition);
    graphs.set(end, graph);
    files.set(key, await graph);
  }
  // The Dockerfile comes from the same place, unless it is the client's own.
  const remote = files.get("context");
  return { results, files, ...(remote !== undefined && { remote }) };
}
