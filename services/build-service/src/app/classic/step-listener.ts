/**
 * A build as the classic builder tells it: stage by stage, step by step, with Docker's exact texts.
 * The work itself is the solver's, so a step that several builds want is done once here, too.
 */

import { BuildFailure } from "../../domain/build-failure.ts";
import type { Dockerfile } from "../../domain/dockerfile/parse.ts";
import { isProxy } from "../../domain/frontend/arguments.ts";
import { classicCommand } from "../../domain/frontend/history-texts.ts";
import type { Stage, Stages } from "../../domain/frontend/stages.ts";
import { keyOf } from "../../domain/solver/cache-key.ts";
import { reachable, type Vertex } from "../../domain/solver/vertex.ts";
import { BuildError, type BuildRequest } from "../../ports/build.ts";
import type { BuildCache } from "../../ports/build-cache.ts";
import type { PullStep } from "../../ports/layers.ts";
import type { LogStream, ProgressSink } from "../../ports/progress.ts";
import type { StagePlanner } from "../plan-stages.ts";
import type { BegunStage, PlannedStage, PlannedStep } from "../planned-stage.ts";
import type { StepListener } from "../run-build.ts";
import type { SolveSession } from "../solver.ts";
import type { VertexTracker } from "../vertex-tracker.ts";
import type { ContainersOfSteps } from "./containers-of-steps.ts";
import type { StepImages } from "./step-images.ts";

/** A message of the stream. */
export type ClassicMessage =
  | { readonly kind: "stream"; readonly text: string }
  | { readonly kind: "pull"; readonly step: PullStep }
  /** The image of a stage that is done. */
  | { readonly kind: "aux"; readonly imageId: string };

const shortDigits = 12;

/** Twelve digits of an ID. */
export function shortOf(id: string): string {
  return id.replace(/^sha256:/, "").slice(0, shortDigits);
}

/** What of a request changes what is told. */
export interface TellerOptions {
  readonly noCache: boolean;
  readonly remove: boolean;
  /** The container of a step that fails is removed, too. */
  readonly forceRemove: boolean;
  readonly buildArgs: BuildRequest["buildArgs"];
  /** Takes the images of steps. */
  readonly images: StepImages;
  /** Throws BuildFailure for volumes that can't be where the step wants them. */
  readonly checkVolumes: (step: PlannedStep, session: SolveSession) => Promise<void>;
  /** Hears why images of a build that failed are not there. */
  readonly onLost: (error: unknown) => void;
}

/** Tells a build. Logs of steps come in by `sink`. */
export class ClassicTeller implements StepListener {
  readonly #emit: (message: ClassicMessage) => void;
  readonly #cache: BuildCache;
  readonly #options: TellerOptions;
  /** Container of the step that runs. */
  #container = "";
  #running: string | undefined;
  /** Digests of the steps' trees so far. */
  readonly #made = new Set<string>();
  readonly #images: StepImages;
  readonly #onLost: (error: unknown) => void;
  #image = "";

  constructor(emit: (message: ClassicMessage) => void, cache: BuildCache, options: TellerOptions) {
    this.#emit = emit;
    this.#cache = cache;
    this.#options = options;
    this.#images = options.images;
    this.#onLost = options.onLost;
  }

  /** ID of the target's image. */
  get image(): string {
    return this.#image;
  }

  /** Takes the output of the step that runs. */
  readonly sink: ProgressSink = {
    vertex: () => undefined,
    status: (_vertex, { id, current, total, completedNano }) => {
      if (completedNano === undefined || !id.startsWith("transferring http")) return;
      const step = { id: "", status: "Downloading", current, total, hasDetail: true };
      this.#emit({ kind: "pull", step });
      this.#say("\n");
    },
    warning: () => undefined,
    log: (vertex, stream, bytes) => {
      if (vertex === this.#running) this.#output(stream, bytes);
    },
  };

  onParsed({ instructions, emptyContinuations }: Dockerfile): void {
    const found = instructions.filter(({ lines }) => emptyContinuations.includes(lines.last));
    for (const { original } of found) this.#warn(`Empty continuation line found in: ${original}`);
    if (found.length === 0) return;
    this.#warn("Empty continuation lines will become errors in a future release.");
  }

  #warn(text: string): void {
    this.#output(2, Buffer.from(`[WARNING]: ${text}\n`));
  }

  onPull(step: PullStep): void {
    this.#emit({ kind: "pull", step });
  }

  onContainer(digest: string, id: string): void {
    if (digest !== this.#running) return;
    this.#container = id;
    this.#say(` ---> Running in ${shortOf(id)}\n`);
  }

  async walk(
    { globalArgs, stages }: Stages,
    planner: StagePlanner,
    session: SolveSession,
    tracker: VertexTracker,
    containers: ContainersOfSteps,
  ): Promise<PlannedStage> {
    try {
      return await this.#walk({ globalArgs, stages }, planner, session, tracker, containers);
    } catch (error) {
      // What was told of is there, whatever came after it.
      await this.#images.store().catch((cause: unknown) => {
        this.#onLost(cause);
      });
      throw error;
    }
  }

  async #walk(
    { globalArgs, stages }: Stages,
    planner: StagePlanner,
    session: SolveSession,
    tracker: VertexTracker,
    containers: ContainersOfSteps,
  ): Promise<PlannedStage> {
    const total = stages.reduce(
      (sum, { instructions }) => sum + 1 + instructions.length,
      globalArgs.length,
    );
    let number = 0;
    const head = (text: string): void => {
      number += 1;
      this.#say(`Step ${String(number)}/${String(total)} : ${text}`);
      this.#say("\n");
    };
    const ids = new Map<number, string>();
    let last: PlannedStage | undefined;
    for (const { original } of globalArgs) head(original);
    for (const stage of stages) {
      refuseTakenName(stage, stages);
      head(stage.from.original);
      const begun = await planner.begin(stage);
      let id = startOf(begun, ids);
      const { instructions, triggers } = begun;
      if (triggers === 0) this.#arrow(id);
      else {
        this.#say(`# Executing ${String(triggers)} build trigger${triggers === 1 ? "" : "s"}\n`);
      }
      for (const [index, { original }] of instructions.entries()) {
        if (index >= triggers) head(original);
        const step = await begun.advance();
        this.#noteOverridden(step);
        tracker.announce(reachable([step.state.tree]));
        const before = id;
        try {
          id = await this.#step(step, before, session, tracker, containers);
          // Triggers are part of FROM, whose ID is that of the last one.
          if (index + 1 >= triggers) this.#arrow(id);
        } catch (error) {
          await this.#leaveFailed(error, before, containers);
          throw error;
        }
      }
      ids.set(stage.index, id);
      this.#image = id;
      if (id !== "") this.#emit({ kind: "aux", imageId: id });
      last = begun.end();
    }
    if (last === undefined) throw new RangeError("a build without stages");
    if (last.image === undefined && last.parent === undefined && last.steps.length === 0) {
      throw new BuildFailure("No image was generated. Is your Dockerfile empty?");
    }
    this.#warnOfUnused(globalArgs, stages);
    return last;
  }

  #noteOverridden({ instruction, before }: PlannedStep): void {
    const { Test = [] } = before.document.config.Healthcheck ?? {};
    if (instruction.kind !== "HEALTHCHECK" || Test.length === 0) return;
    this.#say(`Note: overriding previous HEALTHCHECK: [${Test.join(" ")}]\n`);
  }

  /** Build arguments that no ARG declares. */
  #warnOfUnused(globalArgs: Stages["globalArgs"], stages: readonly Stage[]): void {
    const unused = new Set(this.#options.buildArgs.keys());
    for (const instruction of [...globalArgs, ...stages.flatMap((each) => each.instructions)]) {
      if (instruction.kind === "ARG") for (const { name } of instruction.args) unused.delete(name);
    }
    const names = [...unused].filter((name) => !isProxy(name)).sort();
    if (names.length === 0) return;
    this.#say(`[Warning] One or more build-args [${names.join(" ")}] were not consumed\n`);
  }

  async #step(
    step: PlannedStep,
    parent: string,
    session: SolveSession,
    tracker: VertexTracker,
    containers: ContainersOfSteps,
  ): Promise<string> {
    const { tree } = step.state;
    const isConfig = tree === step.before.tree;
    // Docker runs a container also where nothing runs.
    const pretend = (): Promise<void> => this.#pretend(step, parent, containers);
    this.#container = "";
    if (step.instruction.kind === "VOLUME") await this.#options.checkVolumes(step, session);
    if (!isConfig) await this.#treeStep(tree, session, tracker, pretend);
    if (this.#container !== "" && !this.#options.remove) {
      await this.#images.store();
      await containers.keep(this.#container, parent);
    }
    const id = await this.#images.add(step, parent, session);
    if (isConfig) await this.#configStep(keyOf("step", id, [...step.state.args]), pretend);
    return id;
  }

  /** Keeps the container of a step whose program has failed, unless it is not wanted. */
  async #leaveFailed(error: unknown, parent: string, containers: ContainersOfSteps): Promise<void> {
    if (this.#container === "") return;
    const hasEnded = error instanceof BuildError && error.exitCode !== undefined;
    if (!hasEnded || this.#options.forceRemove) {
      await containers.discard(this.#container);
      return;
    }
    await this.#images.store().catch((cause: unknown) => {
      this.#onLost(cause);
    });
    await containers.keep(this.#container, parent);
  }

  async #configStep(id: string, pretend: () => Promise<void>): Promise<void> {
    if (this.#cache.sawStep(id) && !this.#options.noCache) {
      this.#say(" ---> Using cache\n");
      return;
    }
    await pretend();
  }

  async #treeStep(
    tree: Vertex,
    session: SolveSession,
    tracker: VertexTracker,
    pretend: () => Promise<void>,
  ): Promise<void> {
    this.#running = tree.digest;
    // Of an earlier stage: what it has made is in the cache by now.
    const wasMade = this.#made.has(tree.digest) && !this.#options.noCache;
    try {
      await session.result(tree);
    } catch (error) {
      if (this.#options.forceRemove && this.#container !== "") this.#removed(this.#container);
      throw error;
    } finally {
      this.#running = undefined;
    }
    this.#made.add(tree.digest);
    if (wasMade || tracker.isCached(tree.digest)) this.#say(" ---> Using cache\n");
    else if (this.#container !== "") this.#removed(this.#container);
    else if (tree.op.kind === "mkdir") await pretend();
  }

  /** The container of a step that runs nothing is made only where it stays. */
  async #pretend(
    { instruction, state }: PlannedStep,
    parent: string,
    containers: ContainersOfSteps,
  ): Promise<void> {
    const stays = !this.#options.remove && parent !== "";
    if (stays) await this.#images.store();
    const args = classicCommand(state);
    const container = stays
      ? await containers.declare(state, args, parent)
      : keyOf("container", parent, instruction.original, Date.now());
    this.#say(` ---> Running in ${shortOf(container)}\n`);
    this.#removed(container);
  }

  #removed(container: string): void {
    if (!this.#options.remove) return;
    this.#say(` ---> Removed intermediate container ${shortOf(container)}\n`);
  }

  /** What a program says on its standard error is red. */
  #output(stream: LogStream, bytes: Uint8Array): void {
    const text = Buffer.from(bytes).toString("utf8");
    this.#say(stream === 2 ? `\u001b[91m${text}\u001b[0m` : text);
  }

  #arrow(id: string): void {
    this.#say(` ---> ${shortOf(id)}\n`);
  }

  #say(text: string): void {
    this.#emit({ kind: "stream", text });
  }
}

function refuseTakenName({ name, named, index, from }: Stage, stages: readonly Stage[]): void {
  const taken = stages.slice(0, index).some((each) => each.named && each.name === name);
  if (named && taken) throw new BuildFailure(`${name} stage name already used`, from.lines);
}

/** What a stage stands on. */
function startOf(stage: BegunStage, ids: ReadonlyMap<number, string>): string {
  if (stage.image !== undefined) return stage.image.id;
  return stage.parent === undefined ? "" : (ids.get(stage.parent) ?? "");
}
