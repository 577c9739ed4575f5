/** A solve by the Dockerfile frontend, from the client's attributes to a result. */
import { lexDockerfile } from "../../domain/dockerfile/lexer.ts";
import { DockerfileSyntaxError } from "../../domain/dockerfile/syntax-error.ts";
import type { Builder, BuildResult } from "../../ports/build.ts";
import type { BuildInputs, LentAgent } from "../../ports/build-inputs.ts";
import type { KeptTrees } from "../contexts/kept-trees.ts";
import type { SharedTrees } from "../contexts/shared-trees.ts";
import type { AgentSockets } from "../session/agent-sockets.ts";
import type { SessionRegistry } from "../session/session-registry.ts";
import { openClientInputs } from "../solve/client-inputs.ts";
import {
  type Attributes,
  type FrontendOptions,
  readFrontendOptions,
} from "../solve/frontend-options.ts";
import { LocalDirectories } from "../solve/local-directories.ts";
import { historyPredicate, provenanceMaker } from "../solve/provenance.ts";
import {
  openRemoteContext,
  type RemoteContext,
  type RemoteRequest,
  type RemoteTools,
} from "../solve/remote-context.ts";
import {
  describeAnswer,
  lintAnswer,
  outlineAnswer,
  type SubrequestAnswer,
  type SubrequestName,
  targetsAnswer,
} from "../solve/subrequests.ts";
import { codes, WireFailure } from "../wire/failure.ts";
import type { Solved } from "./bridge.ts";
import { asCancellation, type Job } from "./job.ts";

/** What solves are made with. */
export interface SolveTools {
  readonly builder: Builder;
  readonly sessions: SessionRegistry;
  readonly trees: KeptTrees;
  readonly shared: SharedTrees;
  readonly agents: AgentSockets;
  readonly remote: RemoteTools;
}

/** One solve. */
export interface SolveInput {
  readonly job: Job;
  readonly frontend: string;
  readonly attrs: Attributes;
  readonly entitlements: readonly string[];
  /** Results of other builds, by the key of the client's reference. */
  readonly results: ReadonlyMap<string, BuildResult>;
  /** Files of graphs that the client made, by the same key. */
  readonly files?: ReadonlyMap<string, RemoteContext>;
  /** A context that is here already. */
  readonly remote?: RemoteContext;
  /** Ends the solve without the job. */
  readonly signal: AbortSignal;
}

/** Frontend images that are built in. */
const official =
  /^(docker\.io\/)?docker\/dockerfile(-upstream)?(:[\w.-]+)?(@sha256:[0-9a-f]{64})?$/;

/** Runs it. The result is kept until the job ends. */
export async function solveDockerfile(tools: SolveTools, input: SolveInput): Promise<Solved> {
  const { job, attrs } = input;
  const { options, inputs, signal } = await openSolve(tools, input);
  await job.caches;
  const result = job.keep(await tools.builder.build(options.request, inputs, job.progress, signal));
  const { materials } = result;
  const { ref, startedMs } = job;
  const built = { result, options, dockerfile: inputs.dockerfile.bytes };
  return {
    result,
    attest(names, stored) {
      // Several platforms make an index, which has room for them.
      const inline = stored || result.platforms.length > 1;
      const told = { ref, options, attrs, materials, names, inline, startedMs, built };
      return provenanceMaker(told);
    },
    predicate: (platform) =>
      historyPredicate(
        { ref, options, attrs, materials, names: [], inline: true, startedMs, built },
        platform,
      ),
    multiPlatform: options.multiPlatform,
    sourceDateEpoch: options.request.sourceDateEpoch,
  };
}

/** Answers what a client wants to know of a Dockerfile, without building it. */
export async function answerSubrequest(
  tools: SolveTools,
  input: SolveInput,
  name: SubrequestName,
): Promise<SubrequestAnswer> {
  if (name === "frontend.subrequests.describe") return describeAnswer();
  const { job } = input;
  const { builder } = tools;
  const { options, inputs, signal } = await openSolve(tools, input);
  const { request, filename } = options;
  const file = { filename, data: inputs.dockerfile.bytes };
  switch (name) {
    case "frontend.outline":
      return outlineAnswer(await builder.outline(request, inputs, job.progress, signal), file);
    case "frontend.targets":
      return targetsAnswer(builder.targets(inputs), file);
    case "frontend.lint":
      return lintAnswer(await builder.lint(request, inputs, job.progress, signal), file);
  }
}

interface OpenSolve {
  readonly options: FrontendOptions;
  readonly inputs: BuildInputs;
  readonly signal: AbortSignal;
}

/** Reads what the client asks for, and its Dockerfile. */
async function openSolve(tools: SolveTools, input: SolveInput): Promise<OpenSolve> {
  assertBuiltIn(input.frontend, input.attrs);
  const { job, attrs } = input;
  const options = readFrontendOptions(job.ref, attrs, input.entitlements);
  if (options.sbom !== undefined) {
    throw new WireFailure(codes.unknown, "attestations of kind sbom are not supported");
  }
  const signal = AbortSignal.any([job.signal, asCancellation(input.signal)]);
  // Builds that bring their context along need no session.
  const withoutSession = job.sessionId === "" && input.remote !== undefined;
  const session = withoutSession ? undefined : await tools.sessions.get(job.sessionId, signal);
  const { localSessions, sharedKeys } = options;
  const directories = new LocalDirectories({ ...tools, session, localSessions, sharedKeys });
  const remote = input.remote ?? (await remoteContext(tools, job, { session, options, signal }));
  const inputs = await openClientInputs({
    ref: job.ref,
    session,
    directories,
    agents: tools.agents,
    options,
    remote,
    results: input.results,
    files: input.files ?? new Map(),
    progress: job.progress,
    signal,
  });
  assertSyntax(attrs, inputs.dockerfile.bytes);
  job.source = { filename: options.filename, data: inputs.dockerfile.bytes };
  return { options, inputs, signal };
}

async function remoteContext(
  { remote, agents }: SolveTools,
  job: Job,
  from: Pick<RemoteRequest, "session" | "options" | "signal">,
): Promise<RemoteContext | undefined> {
  if (from.options.remoteContext === "") return undefined;
  const { ref, progress } = job;
  const agent = (id: string): Promise<LentAgent> => agents.open(from.session, id, from.signal);
  return job.keep(await openRemoteContext(remote, { ref, progress, agent, ...from }));
}

function assertBuiltIn(frontend: string, attrs: Attributes): void {
  if (frontend === "dockerfile.v0") return;
  if (frontend !== "gateway.v0") {
    throw new WireFailure(codes.unknown, `unknown frontend: ${frontend}`);
  }
  assertOfficial(attrs["source"] ?? "");
}

/** The build argument counts before the directive. */
function assertSyntax(attrs: Attributes, dockerfile: Uint8Array): void {
  const asked = attrs["build-arg:BUILDKIT_SYNTAX"] ?? directiveOf(dockerfile);
  const [image = ""] = asked.trim().split(/\s/);
  if (image !== "") assertOfficial(image);
}

function directiveOf(dockerfile: Uint8Array): string {
  try {
    return lexDockerfile(new TextDecoder().decode(dockerfile)).directives.get("syntax") ?? "";
  } catch (error) {
    // The builder tells of it, with the place.
    if (error instanceof DockerfileSyntaxError) return "";
    throw error;
  }
}

function assertOfficial(source: string): void {
  if (source === "dockerfile.v0" || official.test(source)) return;
  throw new WireFailure(
    codes.unknown,
    `frontend image ${source} is not supported: only the Dockerfile frontend is built in`,
  );
}
