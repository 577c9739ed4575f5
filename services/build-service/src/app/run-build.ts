/** One build from its Dockerfile to results. */
import path from "node:path";
import { hostPlatform, type Platform } from "@gantry/oci";
import { BuildFailure } from "../domain/build-failure.ts";
import type { Dockerfile } from "../domain/dockerfile/parse.ts";
import { DockerfileSyntaxError } from "../domain/dockerfile/syntax-error.ts";
import type { Stage, Stages } from "../domain/frontend/stages.ts";
import { type Finding, shownFinding } from "../domain/lint/rules.ts";
import { refuseGraph } from "../domain/solver/refuse-graph.ts";
import { reachable } from "../domain/solver/vertex.ts";
import {
  BuildError,
  type BuildRequest,
  type BuildResult,
  type PlatformResult,
} from "../ports/build.ts";
import type { BuildInputs } from "../ports/build-inputs.ts";
import type { LintReport, Outline } from "../ports/dockerfile-facts.ts";
import type { ProgressSink } from "../ports/progress.ts";
import { BaseImages, fullNameOf } from "./base-images.ts";
import { type ContextNeeds, OpenedInputs } from "./build-inputs-opened.ts";
import type { BuilderParts } from "./builder-parts.ts";
import { ContainersOfSteps } from "./classic/containers-of-steps.ts";
import { withLabelSteps } from "./classic/label-steps.ts";
import { contextNeeds } from "./context-needs.ts";
import { DockerfileChecks } from "./dockerfile-checks.ts";
import { outlineOf } from "./outline.ts";
import { StagePlanner } from "./plan-stages.ts";
import type { PlannedStage } from "./planned-stage.ts";
import { platformResult } from "./platform-result.ts";
import { type ReadDockerfile, readDockerfile } from "./read-dockerfile.ts";
import { SolveSession } from "./solver.ts";
import { VertexTracker } from "./vertex-tracker.ts";
import { BoundWork } from "./vertex-work.ts";

/** The classic builder goes through stages itself, and hears of containers. */
export interface StepListener {
  /**
   * Plans and solves the stages up to the target, step by step.
   * @param containers what becomes of the steps' containers
   * @returns the target
   */
  walk(
    file: Stages,
    planner: StagePlanner,
    session: SolveSession,
    tracker: VertexTracker,
    containers: ContainersOfSteps,
  ): Promise<PlannedStage>;
  onParsed(dockerfile: Dockerfile): void;
  onContainer(digest: string, id: string): void;
  onPull(step: {
    readonly id: string;
    readonly status: string;
    readonly current: number;
    readonly total: number;
    readonly hasDetail: boolean;
  }): void;
}

export async function runBuild(
  parts: BuilderParts,
  request: BuildRequest,
  inputs: BuildInputs,
  sink: ProgressSink,
  signal: AbortSignal,
  listener?: StepListener,
): Promise<BuildResult> {
  const build = new RunningBuild(parts, request, inputs, sink, signal, listener);
  try {
    return await build.run();
  } catch (error) {
    await build.fail(error);
    throw build.told(error);
  }
}

/** An error of the Dockerfile with its place. */
export function placed(error: unknown, { name, bytes }: BuildInputs["dockerfile"]): unknown {
  if (!(error instanceof DockerfileSyntaxError || error instanceof BuildFailure)) return error;
  const before = error instanceof BuildFailure ? error.before : [];
  const place = error.lines && { file: name, source: bytes, lines: error.lines, before };
  const message = error instanceof DockerfileSyntaxError ? error.told : error.message;
  return new BuildError(message, { place, cause: error });
}

/** Checks what was planned. */
interface PlanChecks {
  /** Looks at the stages, also when one of them could not be planned. */
  planned(planners: readonly StagePlanner[], ignore: string): Promise<void>;
  /** Throws BuildFailure when something was found where that must not be. */
  end(): void;
}

/** A build, from the Dockerfile on. */
export class RunningBuild {
  readonly #sink: ProgressSink;
  readonly #parts: BuilderParts;
  readonly #request: BuildRequest;
  readonly #inputs: BuildInputs;
  readonly #signal: AbortSignal;
  readonly #listener: StepListener | undefined;
  readonly #tracker: VertexTracker;
  readonly #images: BaseImages;
  readonly #sessions: SolveSession[] = [];
  readonly #leaseOwner: string;
  #needs: ContextNeeds = new Map();

  constructor(
    parts: BuilderParts,
    request: BuildRequest,
    inputs: BuildInputs,
    sink: ProgressSink,
    signal: AbortSignal,
    listener: StepListener | undefined,
  ) {
    this.#parts = parts;
    this.#request = request;
    this.#inputs = inputs;
    this.#signal = signal;
    this.#listener = listener;
    this.#sink = sink;
    this.#tracker = new VertexTracker(sink);
    this.#leaseOwner = `build-run-${request.id}`;
    this.#images = new BaseImages({
      ...{ parts, request, inputs, signal, listener, tracker: this.#tracker },
      leaseOwner: this.#leaseOwner,
    });
  }

  async run(): Promise<BuildResult> {
    const read = this.#read();
    const { target } = read;
    const { platforms } = this.#request;
    const planners = (platforms.length === 0 ? [hostPlatform()] : platforms).map((platform) =>
      this.#planner(read, platform),
    );
    const results =
      this.#listener === undefined
        ? await this.#solveGraph(planners, target, this.#check(read, this.#warn))
        : await this.#solveInOrder(planners, read, this.#listener);
    this.#tracker.close(new Error("context canceled"));
    const dispose = (): Promise<void> => this.#release();
    const stepKeys = this.#sessions.flatMap((session) => session.knownKeys);
    const { materials } = this.#images;
    const contexts = this.#needs;
    return { platforms: results, materials, stepKeys, contexts, [Symbol.asyncDispose]: dispose };
  }

  /** Plans the target, and builds nothing. */
  async outline(): Promise<Outline> {
    const read = this.#read();
    const planner = this.#planner(read, this.#request.platforms[0] ?? hostPlatform());
    const check = this.#check(read, this.#warn);
    await this.#plan([planner], read.target, check);
    const { buildArgs } = this.#request;
    const given = new Set(
      [...buildArgs].flatMap(([name, value]) => (value === undefined ? [] : name)),
    );
    const planned = await planner.planned();
    const outline = outlineOf({ ...read, given, planned, globals: planner.globals });
    await this.#release();
    return outline;
  }

  /** Plans the target, or everything when no target is named, and tells what the checks find on the way. */
  async lint(): Promise<LintReport> {
    const findings: Finding[] = [];
    try {
      const read = this.#read();
      const { file, target, escape } = read;
      const checks = this.#checks(read, (finding) => findings.push(finding));
      const planner = this.#planner(read, this.#request.platforms[0] ?? hostPlatform());
      for (const stage of this.#request.target === "" ? file.stages : [target])
        await planner.plan(stage);
      checks.ofStages(await planner.planned(), escape, await this.#inputs.ignore());
      await this.#release();
      return { findings, failure: undefined };
    } catch (error) {
      const failure = this.told(error);
      if (!(failure instanceof BuildError)) throw error;
      await this.#release();
      return { findings, failure };
    }
  }

  /** Throws DockerfileSyntaxError, BuildFailure. */
  #read(): ReadDockerfile {
    const builtIn = this.#listener !== undefined;
    return readDockerfile(this.#inputs.dockerfile.bytes, this.#request, builtIn, this.#warn);
  }

  async fail(error: unknown): Promise<void> {
    this.#tracker.close(this.#signal.aborted ? new Error("context canceled") : error);
    await this.#release();
  }

  /** The error with its place in the Dockerfile. */
  told(error: unknown): unknown {
    return placed(error, this.#inputs.dockerfile);
  }

  async #release(): Promise<void> {
    for (const session of this.#sessions.splice(0)) session.release();
    await this.#parts.containers.settled();
    await this.#parts.layers.release(this.#leaseOwner).catch((error: unknown) => {
      this.#parts.logger.warn({ err: error }, "lease of a build is left to expire");
    });
  }

  #planner({ file, escape, target }: ReadDockerfile, platform: Platform): StagePlanner {
    return new StagePlanner({
      ...{ request: this.#request, inputs: this.#inputs, file, escape, target, platform },
      base: (reference, wanted, context) => this.#images.base(reference, wanted, context),
      layout: (image, name, wanted) => this.#images.layout(image, name, wanted),
      fullName: (reference) => fullNameOf(this.#parts, reference),
      style: this.#listener === undefined ? "buildkit" : "classic",
    });
  }

  /** Tells what BuildKit's checks find in the text. @returns the rest of them, for when stages are planned */
  #check(read: ReadDockerfile, tell: (finding: Finding) => void): PlanChecks {
    const checks = this.#checks(read, tell);
    return {
      async planned(planners, ignore) {
        for (const planner of planners)
          checks.ofStages(await planner.planned(), read.escape, ignore);
      },
      end: () => {
        checks.end();
      },
    };
  }

  /** Checks that have looked at the text. */
  #checks(read: ReadDockerfile, tell: (finding: Finding) => void): DockerfileChecks {
    const { dockerfile, file, escape } = read;
    const checks = new DockerfileChecks(dockerfile, this.#request, tell);
    checks.ofFile(dockerfile, file, escape, this.#request.platforms[0] ?? hostPlatform());
    return checks;
  }

  /** Findings stand where the Dockerfile was loaded. */
  readonly #warn = (finding: Finding): void => {
    const { vertex } = this.#inputs.dockerfile;
    if (vertex === undefined) return;
    this.#sink.warning(vertex, { ...shownFinding(finding), lines: finding.lines });
  };

  /** The client sees one thing after the other: images, .dockerignore, the instructions. */
  async #plan(planners: readonly StagePlanner[], target: Stage, check: PlanChecks) {
    await Promise.all(planners.map((planner) => planner.prepare(target)));
    const ignore = await this.#inputs.ignore();
    try {
      const plans = await Promise.all(planners.map((planner) => planner.plan(target)));
      await check.planned(planners, ignore);
      check.end();
      return { plans, ignore };
    } catch (error) {
      // What was understood before counts also then.
      await check.planned(planners, ignore);
      throw error;
    }
  }

  /** Everything is planned, then solved from its end. */
  async #solveGraph(
    planners: readonly StagePlanner[],
    target: Stage,
    check: PlanChecks,
  ): Promise<PlatformResult[]> {
    const { plans, ignore } = await this.#plan(planners, target, check);
    const roots = plans.map(({ state }) => state.tree);
    const vertices = reachable(roots);
    refuseGraph(vertices, this.#request.entitlements);
    this.#needs = contextNeeds(roots, ignore.split("\n"));
    await using opened = this.#openInputs(this.#needs);
    this.#tracker.announce(vertices);
    // Images are there; who works on their trees tells of that.
    for (const vertex of vertices) if (vertex.op.kind === "image") this.#tracker.resolved(vertex);
    const session = this.#session(opened);
    return await Promise.all(
      plans.map(({ state }) => platformResult(this.#request, state, session)),
    );
  }

  /** What is wrong with a step is told when it is its turn. */
  async #solveInOrder(
    planners: readonly StagePlanner[],
    { dockerfile, file, target, escape }: ReadDockerfile,
    listener: StepListener,
  ): Promise<PlatformResult[]> {
    await using opened = this.#openInputs(new Map());
    const session = this.#session(opened);
    const upToTarget = withLabelSteps(file, target, this.#request.labels, escape);
    listener.onParsed(dockerfile);
    const { containers: ofSteps, logger } = this.#parts;
    const containers = new ContainersOfSteps({
      ...{ containers: ofSteps, logger, request: this.#request, signal: this.#signal },
    });
    const results: PlatformResult[] = [];
    for (const planner of planners) {
      const { state } = await listener.walk(
        upToTarget,
        planner,
        session,
        this.#tracker,
        containers,
      );
      results.push(await platformResult(this.#request, state, session));
    }
    return results;
  }

  #openInputs(needs: ContextNeeds): OpenedInputs {
    return new OpenedInputs({
      ...{ inputs: this.#inputs, needs, downloads: this.#parts.downloads },
      scratchDir: path.join(this.#parts.scratchDir, this.#request.id),
    });
  }

  #session(opened: OpenedInputs): SolveSession {
    const work = new BoundWork({
      ...this.#parts,
      ...{ request: this.#request, inputs: this.#inputs, opened, tracker: this.#tracker },
      secretDir: path.join(this.#parts.runDir, "secrets"),
    });
    const session = new SolveSession({
      ...{ shared: this.#parts.shared, work, tracker: this.#tracker, signal: this.#signal },
      alone: this.#request.leave === "all",
      isFresh: (chainId) => this.#images.fresh.has(chainId),
      onContainer: (vertex, id) => {
        this.#listener?.onContainer(vertex.digest, id);
      },
    });
    this.#sessions.push(session);
    return session;
  }
}
