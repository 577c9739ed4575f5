/** A Dockerfile's stages as states: bases are looked up, instructions dispatched. */
import { BuildFailure } from "../domain/build-failure.ts";
import type { Instruction } from "../domain/dockerfile/instruction.ts";
import { proxyEnvironment } from "../domain/frontend/arguments.ts";
import { dispatch } from "../domain/frontend/dispatch.ts";
import type { DispatchContext } from "../domain/frontend/dispatch-context.ts";
import { fromNames } from "../domain/frontend/from-names.ts";
import { buildkitHistory, classicHistory } from "../domain/frontend/history-texts.ts";
import { lookupIn, type StageState } from "../domain/frontend/stage-state.ts";
import type { Stage } from "../domain/frontend/stages.ts";
import { type Vertex, vertexOf } from "../domain/solver/vertex.ts";
import { imageVertex } from "./base-states.ts";
import { findImage, resolvedName } from "./find-image.ts";
import { globalArguments } from "./global-arguments.ts";
import {
  contextFiles,
  contextImage,
  filesVertex,
  knownContext,
  namedContext,
} from "./named-contexts.ts";
import type { PlanContext } from "./plan-context.ts";
import type { BegunStage, PlannedStage, PlannedStep } from "./planned-stage.ts";
import { StageBases } from "./stage-bases.ts";
import { StageFacts } from "./stage-facts.ts";
import { StageNeeds } from "./stage-needs.ts";
import { stageTakenBy, tooLate } from "./taken-stages.ts";

/** Plans stages on demand: those that nothing asks for are not even looked at. */
export class StagePlanner {
  readonly #context: PlanContext;
  readonly #stages = new Map<number, Promise<PlannedStage>>();
  readonly #global: ReadonlyMap<string, string>;
  readonly #facts: StageFacts;
  readonly #bases: StageBases;
  readonly #proxyEnv: readonly string[];
  /** The stage in which something is wrong, up to there. */
  #cut: PlannedStage | undefined;

  constructor(context: PlanContext) {
    this.#context = context;
    this.#global = globalArguments(context);
    this.#facts = new StageFacts(context, this.#global);
    this.#bases = new StageBases(context, this.#facts);
    this.#proxyEnv = proxyEnvironment(context.request.buildArgs);
  }

  /** Values of arguments before the first FROM, and of those that need no declaration. */
  get globals(): ReadonlyMap<string, string> {
    return this.#global;
  }

  /** What has been planned, in the order of the Dockerfile; the last one may end with what is wrong. */
  async planned(): Promise<PlannedStage[]> {
    const settled = await Promise.allSettled(this.#stages.values());
    const stages = settled.flatMap((each) => (each.status === "fulfilled" ? each.value : []));
    const cut = this.#cut === undefined ? [] : [this.#cut];
    return [...stages, ...cut].sort((one, other) => one.stage.index - other.stage.index);
  }

  /** Plans a stage, and first those that it needs. Throws BuildFailure. */
  plan(stage: Stage, path: readonly Stage[] = []): Promise<PlannedStage> {
    if (path.includes(stage)) {
      throw new BuildFailure(
        `circular dependency detected on stage: ${stage.name}`,
        stage.from.lines,
      );
    }
    const known = this.#stages.get(stage.index);
    if (known !== undefined) return known;
    const planned = this.#planNow(stage, [...path, stage]);
    this.#stages.set(stage.index, planned);
    return planned;
  }

  /** Checks all stages, then looks up the images that one of them stands on. Throws BuildFailure. */
  async prepare(target: Stage): Promise<void> {
    const needs = new StageNeeds(this.#context, this.#facts, (name, by) =>
      stageTakenBy(this.#context, name, by),
    );
    needs.check();
    await Promise.all(
      needs
        .imagesOf(target)
        .map(({ reference, platform, by, context }) =>
          findImage(this.#context, reference, platform, by, context),
        ),
    );
  }

  async #planNow(stage: Stage, path: readonly Stage[]): Promise<PlannedStage> {
    const begun = await this.#begin(stage, path, "at once");
    for (let left = begun.instructions.length; left > 0; left -= 1) await begun.advance();
    return begun.end();
  }

  /** Begins a stage that is built step by step, after those before it. Throws BuildFailure. */
  async begin(stage: Stage): Promise<BegunStage> {
    return await this.#begin(stage, [stage], "one by one");
  }

  /** @param needed when what `--from` names is looked up */
  async #begin(
    stage: Stage,
    path: readonly Stage[],
    needed: "at once" | "one by one",
  ): Promise<BegunStage> {
    const {
      state: base,
      image,
      triggers,
      parent,
    } = await this.#bases.of(stage, (earlier) => this.plan(earlier, path));
    const instructions = [...triggers, ...stage.instructions];
    const from = new Map(needed === "at once" ? await this.#dependencies(instructions, path) : []);
    const count = this.#facts.countSteps(stage, triggers.length);
    // BuildKit counts a named context in a base's place, and gives it no number.
    const isNamed = namedContext(this.#context, this.#facts.baseName(stage)) !== undefined;
    let number = isNamed ? 0 : count.first;
    const stepName = (text: string, state: StageState): string => {
      number += 1;
      const isTrigger = this.#context.style === "buildkit" && steps.length < triggers.length;
      const prefix = this.#facts.prefixOf(stage, lookupIn(state));
      const place = String(number).padStart(String(count.all).length);
      return `[${prefix}${place}/${String(count.all)}] ${isTrigger ? "ONBUILD " : ""}${text}`;
    };
    const context = this.#dispatchContext(stage, from, stepName);
    const steps: PlannedStep[] = [];
    const stateNow = (): StageState => steps.at(-1)?.state ?? base;
    return {
      ...{ stage, base, image, parent, instructions, triggers: triggers.length },
      advance: async () => {
        const instruction = instructions[steps.length];
        if (instruction === undefined) throw new RangeError("no more instructions");
        if (needed === "one by one") {
          for (const [name, tree] of await this.#dependencies([instruction], path))
            from.set(name, tree);
        }
        const before = stateNow();
        const isTrigger = steps.length < triggers.length;
        const state = this.#orCut(
          () => dispatch(before, instruction, context),
          () => {
            const wrong = { instruction, before, state: before, isTrigger, isWrong: true };
            return { stage, base, image, parent, steps: [...steps, wrong], state: before };
          },
        );
        const step = { instruction, before, state, isTrigger };
        steps.push(step);
        return step;
      },
      end: () => {
        const planned = { stage, base, image, parent, steps, state: stateNow() };
        this.#stages.set(stage.index, Promise.resolve(planned));
        return planned;
      },
    };
  }

  #orCut<T>(work: () => T, cut: () => PlannedStage): T {
    try {
      return work();
    } catch (error) {
      this.#cut ??= cut();
      throw error;
    }
  }

  /** The trees that `--from` names, ready before the instructions are dispatched. */
  async #dependencies(
    instructions: readonly Instruction[],
    path: readonly Stage[],
  ): Promise<ReadonlyMap<string, Vertex>> {
    // Of the classic builder's instructions only COPY takes from elsewhere.
    const isClassic = this.#context.style === "classic";
    const taking = isClassic ? instructions.filter(({ kind }) => kind !== "RUN") : instructions;
    const trees = await Promise.all(
      [...fromNames(taking)].map(
        async ([name, by]) => [name, await this.#tree(name, by, path)] as const,
      ),
    );
    return new Map(trees);
  }

  async #tree(name: string, by: Instruction, path: readonly Stage[]): Promise<Vertex> {
    // Of mounts the instruction isn't told.
    const named = knownContext(this.#context, name, by.kind === "RUN" ? undefined : by.lines);
    if (named?.kind === "local" || named?.kind === "remote") {
      return await contextFiles(name, named);
    }
    if (named?.kind === "result") {
      const snapshot = named.result.platforms[0]?.snapshot ?? "";
      return vertexOf({ kind: "layer", snapshot }, [], { name: `[context ${name}]` });
    }
    const stage = path.at(-1);
    // The classic builder knows of the stages that it has built.
    const built = this.#context.style === "classic" ? stage?.index : undefined;
    const other = named === undefined ? stageTakenBy(this.#context, name, by, built) : undefined;
    if (other !== undefined && other.index >= (stage?.index ?? 0)) throw tooLate(name, by, stage);
    if (other !== undefined) return (await this.plan(other, path)).state.tree;
    if (named === undefined && name === "scratch")
      return vertexOf({ kind: "scratch" }, [], { name: "scratch" });
    const platform = stage === undefined ? this.#context.platform : this.#facts.platformOf(stage);
    if (named !== undefined)
      return (await contextImage(this.#context, name, named, platform, by)).tree;
    const image = await findImage(this.#context, name, platform, by);
    const resolved = resolvedName(this.#context, name, image);
    const told = { name: `FROM ${resolved}`, lines: undefined, resolved };
    return imageVertex(image, name, platform, told);
  }

  #dispatchContext(
    stage: Stage,
    from: ReadonlyMap<string, Vertex>,
    stepName: DispatchContext["stepName"],
  ): DispatchContext {
    const { request, escape, style } = this.#context;
    const ignoreCache =
      request.noCache || request.noCacheStages.some((name) => name === stage.name);
    return {
      ...{ buildArgs: request.buildArgs, globalArgs: this.#global, proxyEnv: this.#proxyEnv },
      ...{
        style,
        escape,
        networkMode: request.networkMode,
        hostname: request.hostname,
        ignoreCache,
      },
      stepName,
      from: (name) => {
        const tree = from.get(name);
        if (tree === undefined) throw new BuildFailure(`unknown stage ${name}`);
        return tree;
      },
      context: () => filesVertex("context:", "[internal] load build context"),
      comment: style === "buildkit" ? "buildkit.dockerfile.v0" : "",
      created: style === "buildkit" ? buildkitHistory : classicHistory,
    };
  }
}
