/** One build from its Dockerfile to results. */
import path from "node:path";
import { nowNano } from "@gantry/events";
import { type HistoryItem, hostPlatform, type Platform } from "@gantry/oci";
import { BuildFailure } from "../domain/build-failure.ts";
import { parseDockerfile } from "../domain/dockerfile/parse.ts";
import { DockerfileSyntaxError } from "../domain/dockerfile/syntax-error.ts";
import type { StageState } from "../domain/frontend/stage-state.ts";
import { findTarget, type Stage, type Stages, splitStages } from "../domain/frontend/stages.ts";
import { reachable, type Vertex } from "../domain/solver/vertex.ts";
import {
  BuildError,
  type BuildMaterial,
  type BuildRequest,
  type BuildResult,
  type PlatformResult,
} from "../ports/build.ts";
import type { BuildInputs } from "../ports/build-inputs.ts";
import type { BaseImage } from "../ports/layers.ts";
import type { ProgressSink } from "../ports/progress.ts";
import { OpenedInputs } from "./build-inputs-opened.ts";
import type { BuilderParts } from "./builder-parts.ts";
import { contextNeeds } from "./context-needs.ts";
import { internalDigest, type PlannedStage, StagePlanner } from "./plan-stages.ts";
import { SolveSession } from "./solver.ts";
import { VertexTracker } from "./vertex-tracker.ts";
import { BoundWork } from "./vertex-work.ts";

/** The classic builder goes through stages itself, and hears of containers. */
export interface StepListener {
  /** The stages up to the target in order, to be solved step by step. */
  walk(
    stages: readonly PlannedStage[],
    session: SolveSession,
    tracker: VertexTracker,
  ): Promise<void>;
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

const nanoPerSecond = 1_000_000_000n;

function isoTime(nano: bigint): string {
  return new Date(Number(nano / 1_000_000n)).toISOString();
}

function fullNameOf({ fullName }: BuilderParts, reference: string): string | undefined {
  try {
    return fullName(reference);
  } catch {
    return undefined;
  }
}

/** Vertices that a tree was made by, over its base, the first first. */
function ownVertices(tree: Vertex): Vertex[] {
  const [below] = tree.inputs;
  return below === undefined ? [] : [...ownVertices(below), tree];
}

class RunningBuild {
  readonly #parts: BuilderParts;
  readonly #request: BuildRequest;
  readonly #inputs: BuildInputs;
  readonly #signal: AbortSignal;
  readonly #listener: StepListener | undefined;
  readonly #tracker: VertexTracker;
  readonly #images = new Map<string, Promise<BaseImage>>();
  readonly #materials: BuildMaterial[] = [];
  readonly #sessions: SolveSession[] = [];
  readonly #leaseOwner: string;

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
    this.#tracker = new VertexTracker(sink);
    this.#leaseOwner = `build-run-${request.id}`;
  }

  async run(): Promise<BuildResult> {
    const dockerfile = parseDockerfile(Buffer.from(this.#inputs.dockerfile.bytes).toString("utf8"));
    const file = splitStages(dockerfile);
    const target = findTarget(file.stages, this.#request.target);
    const escape = dockerfile.directives.get("escape") ?? "\\";
    const platforms =
      this.#request.platforms.length === 0 ? [hostPlatform()] : this.#request.platforms;
    const plans = await Promise.all(
      platforms.map((platform) => this.#plan(file, escape, target, platform)),
    );
    const results = await this.#solveAll(plans);
    this.#tracker.close(new Error("context canceled"));
    const dispose = (): Promise<void> => this.#release();
    const stepKeys = this.#sessions.flatMap((session) => session.knownKeys);
    const materials = this.#materials;
    return { platforms: results, materials, stepKeys, [Symbol.asyncDispose]: dispose };
  }

  async fail(error: unknown): Promise<void> {
    this.#tracker.close(this.#signal.aborted ? new Error("context canceled") : error);
    await this.#release();
  }

  /** The error with its place in the Dockerfile. */
  told(error: unknown): unknown {
    const { name, bytes } = this.#inputs.dockerfile;
    if (error instanceof DockerfileSyntaxError) {
      const place = error.lines && { file: name, source: bytes, lines: error.lines };
      return new BuildError(error.told, { place, cause: error });
    }
    if (error instanceof BuildFailure) {
      const place = error.lines && { file: name, source: bytes, lines: error.lines };
      return new BuildError(error.message, { place, cause: error });
    }
    return error;
  }

  async #release(): Promise<void> {
    for (const session of this.#sessions.splice(0)) session.release();
    await this.#parts.containers.settled();
    await this.#parts.layers.release(this.#leaseOwner).catch((error: unknown) => {
      this.#parts.logger.warn({ err: error }, "lease of a build is left to expire");
    });
  }

  /** The stages to solve, the target last. */
  async #plan(
    file: Stages,
    escape: string,
    target: Stage,
    platform: Platform,
  ): Promise<readonly [...PlannedStage[], PlannedStage]> {
    const planner = new StagePlanner({
      ...{ request: this.#request, inputs: this.#inputs, file, escape, target, platform },
      base: (reference, wanted) => this.#base(reference, wanted),
      fullName: (reference) => fullNameOf(this.#parts, reference),
      style: this.#listener === undefined ? "buildkit" : "classic",
    });
    const before: PlannedStage[] = [];
    if (this.#request.order === "sequential") {
      for (const stage of file.stages.slice(0, target.index))
        before.push(await planner.plan(stage));
    }
    return [...before, await planner.plan(target)];
  }

  async #solveAll(
    plans: readonly (readonly [...PlannedStage[], PlannedStage])[],
  ): Promise<PlatformResult[]> {
    const roots = plans.flat().map((stage) => stage.state.tree);
    await using opened = new OpenedInputs({
      inputs: this.#inputs,
      needs: contextNeeds(roots, this.#inputs.ignore.split("\n")),
      downloads: this.#parts.downloads,
      scratchDir: path.join(this.#parts.scratchDir, this.#request.id),
    });
    const work = new BoundWork({
      ...this.#parts,
      ...{ request: this.#request, inputs: this.#inputs, opened, tracker: this.#tracker },
      secretDir: path.join(this.#parts.runDir, "secrets"),
    });
    this.#tracker.announce(reachable(roots));
    const session = new SolveSession({
      ...{ shared: this.#parts.shared, work, tracker: this.#tracker, signal: this.#signal },
      onContainer: (vertex, id) => {
        this.#listener?.onContainer(vertex.digest, id);
      },
    });
    this.#sessions.push(session);
    return await Promise.all(
      plans.map(async (stages) => {
        await this.#listener?.walk(stages, session, this.#tracker);
        const [{ state } = stages[0]] = stages.slice(-1);
        const { snapshot } = await session.result(state.tree);
        const config = await this.#finished(state, session);
        const keys = await Promise.all(
          ownVertices(state.tree).map((vertex) => session.cacheKey(vertex)),
        );
        const cacheKeys = keys.filter((key) => key !== undefined);
        return { platform: state.platform, snapshot, config, cacheKeys };
      }),
    );
  }

  /** Labels of the request come last. Times are those of the layers, so that equal builds give equal images. */
  async #finished(state: StageState, session: SolveSession) {
    const { labels } = this.#request;
    const { document } = state;
    const history = await this.#datedHistory(state, session);
    if (labels.size === 0) return { ...document, history };
    const Labels = { ...document.config.Labels, ...Object.fromEntries(labels) };
    return { ...document, history, config: { ...document.config, Labels } };
  }

  /** A step without files has the time of the one before it. */
  async #datedHistory(state: StageState, session: SolveSession): Promise<readonly HistoryItem[]> {
    const { sourceDateEpoch } = this.#request;
    const times = await Promise.all(
      ownVertices(state.tree).map((vertex) => session.createdNano(vertex)),
    );
    const { history } = state.document;
    const first = times.find((time) => time !== undefined);
    const ofBase = history.findLast(({ created }) => created !== undefined)?.created;
    let last = first === undefined ? (ofBase ?? isoTime(0n)) : isoTime(first);
    return history.map((item) => {
      if (item.created !== undefined) return item;
      const time = item.empty_layer === true ? undefined : times.shift();
      if (time !== undefined) last = isoTime(time);
      const created =
        sourceDateEpoch === undefined ? last : isoTime(BigInt(sourceDateEpoch) * nanoPerSecond);
      return { created, ...item };
    });
  }

  #base(reference: string, platform: Platform): Promise<BaseImage> {
    const key = JSON.stringify([reference, platform]);
    const known = this.#images.get(key);
    if (known !== undefined) return known;
    const found = this.#resolve(reference, platform);
    this.#images.set(key, found);
    return found;
  }

  async #resolve(reference: string, platform: Platform): Promise<BaseImage> {
    const name = `[internal] load metadata for ${this.#parts.fullName(reference)}`;
    const vertex = this.#tracker.internal(internalDigest(this.#request.id, name, platform), name);
    const started = nowNano();
    try {
      const image = await this.#parts.layers.resolve({
        ...{ reference, platform: this.#request.platforms.length === 0 ? undefined : platform },
        ...{ pull: this.#request.pull, leaseOwner: this.#leaseOwner, signal: this.#signal },
        credential: (host) => this.#inputs.registryAuth(host, this.#signal),
        onPull: (step) => {
          this.#listener?.onPull(step);
          if (step.id === "") return;
          const isDone = /complete|exists/i.test(step.status);
          vertex.status({
            ...{ id: step.id, name: step.status, current: step.current, total: step.total },
            ...{ startedNano: started, completedNano: isDone ? nowNano() : undefined },
          });
        },
      });
      this.#parts.knowLayers(image);
      this.#materials.push({
        uri: `pkg:docker/${image.reference.replace(":", "@")}`,
        digest: image.id,
      });
      vertex.end();
      return image;
    } catch (error) {
      vertex.end(error);
      throw error;
    }
  }
}
