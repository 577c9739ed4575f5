/**
 * A build as the classic builder tells it: stage by stage, step by step, with Docker's exact texts.
 * The work itself is the solver's, so a step that several builds want is done once here, too.
 */
import { keyOf } from "../../domain/solver/cache-key.ts";
import type { Vertex } from "../../domain/solver/vertex.ts";
import type { BuildCache } from "../../ports/build-cache.ts";
import type { PullStep } from "../../ports/layers.ts";
import type { LogStream, ProgressSink } from "../../ports/progress.ts";
import type { PlannedStage, PlannedStep } from "../plan-stages.ts";
import type { StepListener } from "../run-build.ts";
import type { SolveSession } from "../solver.ts";
import type { VertexTracker } from "../vertex-tracker.ts";

/** A message of the stream. */
export type ClassicMessage =
  | { readonly kind: "stream"; readonly text: string }
  | { readonly kind: "pull"; readonly step: PullStep };

const shortDigits = 12;

/** Twelve digits of an ID. */
export function shortOf(id: string): string {
  return id.replace(/^sha256:/, "").slice(0, shortDigits);
}

/** Tells a build. Logs of steps come in by `sink`. */
export class ClassicTeller implements StepListener {
  readonly #emit: (message: ClassicMessage) => void;
  readonly #cache: BuildCache;
  readonly #options: {
    readonly noCache: boolean;
    readonly remove: boolean;
  };
  /** Container of the step that runs. */
  #container = "";
  #running: string | undefined;

  constructor(
    emit: (message: ClassicMessage) => void,
    cache: BuildCache,
    options: { readonly noCache: boolean; readonly remove: boolean },
  ) {
    this.#emit = emit;
    this.#cache = cache;
    this.#options = options;
  }

  /** Takes the output of the step that runs. */
  readonly sink: ProgressSink = {
    vertex: () => undefined,
    status: () => undefined,
    warning: () => undefined,
    log: (vertex, stream, bytes) => {
      if (vertex === this.#running) this.#output(stream, bytes);
    },
  };

  onPull(step: PullStep): void {
    this.#emit({ kind: "pull", step });
  }

  onContainer(digest: string, id: string): void {
    if (digest !== this.#running) return;
    this.#container = id;
    this.#say(` ---> Running in ${shortOf(id)}\n`);
  }

  async walk(
    stages: readonly PlannedStage[],
    session: SolveSession,
    tracker: VertexTracker,
  ): Promise<void> {
    const total = stages.reduce((sum, { steps }) => sum + 1 + written(steps).length, 0);
    let number = 0;
    const head = (text: string): void => {
      number += 1;
      this.#say(`Step ${String(number)}/${String(total)} : ${text}`);
      this.#say("\n");
    };
    const ids = new Map<number, string>();
    for (const stage of stages) {
      head(stage.stage.from.original);
      let id = startOf(stage, ids);
      this.#say(` ---> ${shortOf(id)}\n`);
      const triggers = stage.steps.filter(({ isTrigger }) => isTrigger).length;
      if (triggers > 0) {
        this.#say(`# Executing ${String(triggers)} build trigger${triggers === 1 ? "" : "s"}\n`);
      }
      for (const step of stage.steps) {
        if (!step.isTrigger) head(step.instruction.original);
        id = await this.#step(step, id, session, tracker);
      }
      ids.set(stage.stage.index, id);
    }
  }

  async #step(
    step: PlannedStep,
    parent: string,
    session: SolveSession,
    tracker: VertexTracker,
  ): Promise<string> {
    const id = stepId(parent, step);
    const { tree } = step.state;
    if (tree === step.before.tree) this.#configStep(id);
    else await this.#treeStep(tree, session, tracker);
    this.#say(` ---> ${shortOf(id)}\n`);
    return id;
  }

  #configStep(id: string): void {
    if (this.#cache.sawStep(id) && !this.#options.noCache) {
      this.#say(" ---> Using cache\n");
      return;
    }
    this.#pretend(id);
  }

  async #treeStep(tree: Vertex, session: SolveSession, tracker: VertexTracker): Promise<void> {
    this.#running = tree.digest;
    this.#container = "";
    try {
      await session.result(tree);
    } finally {
      this.#running = undefined;
    }
    if (tracker.isCached(tree.digest)) this.#say(" ---> Using cache\n");
    else if (this.#container !== "") this.#removed(this.#container);
    else if (tree.op.kind === "mkdir") this.#pretend(tree.digest);
  }

  /** Docker runs a container also where nothing runs. */
  #pretend(id: string): void {
    const container = keyOf("container", id, Date.now());
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

  #say(text: string): void {
    this.#emit({ kind: "stream", text });
  }
}

/** Steps that the Dockerfile itself has. */
function written(steps: readonly PlannedStep[]): readonly PlannedStep[] {
  return steps.filter(({ isTrigger }) => !isTrigger);
}

/** What a stage stands on. */
function startOf(stage: PlannedStage, ids: ReadonlyMap<number, string>): string {
  if (stage.image !== undefined) return stage.image.id;
  return stage.parent === undefined ? "" : (ids.get(stage.parent) ?? "");
}

/** Name of a step's state: equal for equal steps over equal states. */
function stepId(parent: string, { state }: PlannedStep): string {
  return keyOf(
    "step",
    parent,
    state.tree.digest,
    state.document.config,
    state.document.history.at(-1)?.created_by,
    [...state.args],
  );
}
