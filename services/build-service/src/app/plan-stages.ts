/** A Dockerfile's stages as states: base images are looked up, instructions dispatched. */
import { formatPlatform, type Platform } from "@gantry/oci";
import { BuildFailure } from "../domain/build-failure.ts";
import type { Lookup } from "../domain/dockerfile/expand.ts";
import { goQuote } from "../domain/dockerfile/go-quote.ts";
import type { Instruction } from "../domain/dockerfile/instruction.ts";
import { lexDockerfile } from "../domain/dockerfile/lexer.ts";
import { mountFrom } from "../domain/dockerfile/mount-words.ts";
import { didYouMean } from "../domain/dockerfile/nearest.ts";
import { parseInstruction } from "../domain/dockerfile/parse.ts";
import { proxyEnvironment } from "../domain/frontend/arguments.ts";
import { dispatch } from "../domain/frontend/dispatch.ts";
import type { DispatchContext } from "../domain/frontend/dispatch-context.ts";
import { fromNames } from "../domain/frontend/from-names.ts";
import { buildkitHistory, classicHistory } from "../domain/frontend/history-texts.ts";
import { parseMount } from "../domain/frontend/mounts.ts";
import { lookupIn, type StageState, withConfig } from "../domain/frontend/stage-state.ts";
import { type Stage, stageCalled } from "../domain/frontend/stages.ts";
import { keyOf } from "../domain/solver/cache-key.ts";
import { type Vertex, vertexOf } from "../domain/solver/vertex.ts";
import type { ContextSource } from "../ports/build-inputs.ts";
import type { BaseImage } from "../ports/layers.ts";
import { copiedAll, emptyState, imageVertex, startingDocument } from "./base-states.ts";
import { globalArguments } from "./global-arguments.ts";
import type { PlanContext } from "./plan-context.ts";
import type { BegunStage, PlannedStage, PlannedStep } from "./planned-stage.ts";
import { inBuildkitWords } from "./registry-texts.ts";
import { StageFacts } from "./stage-facts.ts";
import { StageNeeds } from "./stage-needs.ts";

const nothing: Lookup = () => undefined;

/** Plans stages on demand: those that nothing asks for are not even looked at. */
export class StagePlanner {
  readonly #context: PlanContext;
  readonly #stages = new Map<number, Promise<PlannedStage>>();
  readonly #global: ReadonlyMap<string, string>;
  readonly #facts: StageFacts;
  readonly #proxyEnv: readonly string[];
  /** The stage in which something is wrong, up to there. */
  #cut: PlannedStage | undefined;

  constructor(context: PlanContext) {
    this.#context = context;
    this.#global = globalArguments(context);
    this.#facts = new StageFacts(context, this.#global);
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
      this.#stageTakenBy(name, by),
    );
    needs.check();
    await Promise.all(
      needs
        .imagesOf(target)
        .map(({ reference, platform, by, context }) =>
          this.#find(reference, platform, by, context),
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
    const { state: base, image, triggers, parent } = await this.#base(stage, path);
    const instructions = [...triggers, ...stage.instructions];
    const from = new Map(needed === "at once" ? await this.#dependencies(instructions, path) : []);
    const count = this.#facts.countSteps(stage, triggers.length);
    // BuildKit counts a named context in a base's place, and gives it no number.
    const isNamed = this.#namedContext(this.#facts.baseName(stage)) !== undefined;
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

  /** Only COPY counts stages. Throws BuildFailure. */
  #stageTakenBy(name: string, by: Instruction, built?: number): Stage | undefined {
    const { file, style } = this.#context;
    const stages = file.stages.slice(0, built);
    const isNumber = /^[-+]?\d+$/.test(name);
    if (style === "buildkit" && isNumber && by.kind === "RUN") return undefined;
    const stage = stageCalled(stages, name.toLowerCase());
    if (stage !== undefined || !isNumber || this.#namedContext(name) !== undefined) return stage;
    if (style === "buildkit") throw new BuildFailure(`invalid stage index ${String(Number(name))}`);
    const reason = Number(name) === built ? "refers to current build stage" : "index out of bounds";
    throw new BuildFailure(`invalid from flag value ${name}: ${reason}`);
  }

  async #base(
    stage: Stage,
    path: readonly Stage[],
  ): Promise<{
    readonly state: StageState;
    readonly image: BaseImage | undefined;
    readonly triggers: readonly Instruction[];
    readonly parent?: number;
  }> {
    const name = this.#facts.baseName(stage);
    const platform = this.#facts.platformOf(stage);
    const earlier = this.#facts.earlierStage(stage, name);
    const named = this.#namedContext(name);
    if (named === undefined && earlier !== undefined) {
      const { state } = await this.plan(earlier, path);
      const taken = this.#takeTriggers({ ...state, hasCommand: false }, stage);
      return { ...taken, image: undefined, parent: earlier.index };
    }
    if (named?.kind === "result") return this.#fromResult(named, stage, platform);
    if (named?.kind === "local" || named?.kind === "remote") {
      const tree = await this.#contextFiles(name, named);
      return {
        state: emptyState(copiedAll(tree, name), platform, this.#context.style),
        image: undefined,
        triggers: [],
      };
    }
    if (named === undefined && name === "scratch") {
      const tree = vertexOf({ kind: "scratch" }, [], { name: "scratch" });
      return {
        state: emptyState(tree, platform, this.#context.style),
        image: undefined,
        triggers: [],
      };
    }
    if (named !== undefined) {
      const { image, tree } = await this.#contextImage(name, named, platform, stage.from);
      return this.#overImage(image, { ...tree, lines: stage.from.lines }, stage);
    }
    return await this.#fromImage(name, stage, platform);
  }

  async #fromImage(reference: string, stage: Stage, platform: Platform) {
    const image = await this.#find(reference, platform, stage.from);
    const { all } = this.#facts.countSteps(stage, 0);
    const place = `${"1".padStart(String(all).length)}/${String(all)}`;
    const resolved = this.#resolvedName(reference, image);
    const tree = imageVertex(image, reference, platform, {
      name: `[${this.#facts.prefixOf(stage, nothing)}${place}] FROM ${resolved}`,
      lines: stage.from.lines,
      resolved,
    });
    return this.#overImage(image, tree, stage);
  }

  #overImage(image: BaseImage, tree: Vertex, stage: Stage) {
    const document = startingDocument(image.document);
    const state: StageState = {
      ...{ tree, document, args: new Map(), hiding: new Set(), hasCommand: false },
      platform: image.platform,
    };
    return { ...this.#takeTriggers(state, stage), image };
  }

  #resolvedName(reference: string, { id }: BaseImage): string {
    const name = this.#context.fullName(reference) ?? reference;
    return name.includes("@") ? name : `${name}@${id}`;
  }

  /** The image of a named context, as a vertex of its own. */
  async #contextImage(
    name: string,
    source: Extract<ContextSource, { kind: "image" | "layout" }>,
    platform: Platform,
    by: Instruction,
  ): Promise<{ readonly image: BaseImage; readonly tree: Vertex }> {
    const inContext = `[context ${name}]`;
    if (source.kind === "image") {
      const { reference } = source;
      const image = await this.#find(reference, platform, by, name);
      const resolved = this.#context.fullName(reference) ?? reference;
      const told = { name: `${inContext} ${reference}`, lines: undefined, resolved };
      return { image, tree: imageVertex(image, reference, platform, told) };
    }
    const image = await this.#context.layout(source, name, platform);
    const resolved = `${this.#context.fullName(name) ?? name}@${source.digest}`;
    const told = { name: `${inContext} OCI load from client`, lines: undefined, resolved };
    return { image, tree: imageVertex(image, resolved, platform, told) };
  }

  /** @param by the instruction that wants it */
  async #find(
    reference: string,
    platform: Platform,
    by: Instruction,
    contextName?: string,
  ): Promise<BaseImage> {
    try {
      return await this.#context.base(reference, platform, contextName);
    } catch (error) {
      if (!(error instanceof Error) || error.name === "AbortError") throw error;
      // Of mounts the instruction isn't told.
      const isMount = by.kind === "RUN" && this.#context.style === "buildkit";
      const message = this.#notFound(reference, by, error, contextName);
      throw new BuildFailure(message, isMount ? undefined : by.lines, { cause: error });
    }
  }

  #notFound(
    reference: string,
    by: Instruction,
    { message }: Error,
    contextName: string | undefined,
  ): string {
    const { style, fullName } = this.#context;
    if (style === "classic") {
      return by.kind === "FROM" ? message : `invalid from flag value ${reference}: ${message}`;
    }
    const name = fullName(reference);
    if (name === undefined) return `failed to parse stage name ${goQuote(reference)}: ${message}`;
    const reason = inBuildkitWords(message, name);
    const failure = `failed to resolve source metadata for ${name}: ${reason}`;
    if (contextName !== undefined) return failure;
    const names = this.#context.file.stages.map((each) => each.name);
    return `${reference}: ${failure}${didYouMean(reference, [...names, ...commonImages])}`;
  }

  #fromResult(
    { result }: Extract<ContextSource, { kind: "result" }>,
    stage: Stage,
    platform: Platform,
  ) {
    const found =
      result.platforms.find((each) => formatPlatform(each.platform) === formatPlatform(platform)) ??
      result.platforms[0];
    if (found === undefined) throw new BuildFailure("the named context has no result");
    const name = `[${this.#facts.prefixOf(stage, nothing)}] FROM ${stage.from.image}`;
    const tree = vertexOf({ kind: "layer", snapshot: found.snapshot }, [], { name });
    const state: StageState = {
      ...{ tree, document: startingDocument(found.config), args: new Map() },
      ...{ hiding: new Set<string>(), hasCommand: false },
      platform: found.platform,
    };
    return { ...this.#takeTriggers(state, stage), image: undefined };
  }

  /** ONBUILD of the base: instructions of this stage, and none of its children's. */
  #takeTriggers(state: StageState, stage: Stage) {
    const triggers = (state.document.config.OnBuild ?? []).map((text) => {
      try {
        const line = lexDockerfile(text).lines[0];
        if (line === undefined) throw new BuildFailure("empty ONBUILD trigger");
        return parseInstruction({ ...line, lines: stage.from.lines }, "later");
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        throw new BuildFailure(error.message, stage.from.lines, { cause: error });
      }
    });
    return {
      state: triggers.length === 0 ? state : withConfig(state, { OnBuild: null }),
      triggers,
    };
  }

  #namedContext(name: string): ContextSource | undefined {
    return this.#context.inputs.namedContexts.get(name.toLowerCase());
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
    const named = this.#namedContext(name);
    if (named?.kind === "local" || named?.kind === "remote") {
      return await this.#contextFiles(name, named);
    }
    if (named?.kind === "result") {
      const snapshot = named.result.platforms[0]?.snapshot ?? "";
      return vertexOf({ kind: "layer", snapshot }, [], { name: `[context ${name}]` });
    }
    const stage = path.at(-1);
    // The classic builder knows of the stages that it has built.
    const built = this.#context.style === "classic" ? stage?.index : undefined;
    const other = named === undefined ? this.#stageTakenBy(name, by, built) : undefined;
    if (other !== undefined && other.index >= (stage?.index ?? 0)) throw tooLate(name, by, stage);
    if (other !== undefined) return (await this.plan(other, path)).state.tree;
    if (named === undefined && name === "scratch")
      return vertexOf({ kind: "scratch" }, [], { name: "scratch" });
    const platform = stage === undefined ? this.#context.platform : this.#facts.platformOf(stage);
    if (named !== undefined) return (await this.#contextImage(name, named, platform, by)).tree;
    const image = await this.#find(name, platform, by);
    const resolved = this.#resolvedName(name, image);
    const told = { name: `FROM ${resolved}`, lines: undefined, resolved };
    return imageVertex(image, name, platform, told);
  }

  /** A named context of files. What it leaves out is known before it is opened. */
  async #contextFiles(
    name: string,
    source: Extract<ContextSource, { kind: "local" | "remote" }>,
  ): Promise<Vertex> {
    if (source.kind === "local") await source.ignore?.();
    const load = `[context ${name}] load from client`;
    return this.#filesVertex(`context:${name.toLowerCase()}`, load);
  }

  #filesVertex(source: string, name: string): Vertex {
    return vertexOf({ kind: "files", source, checksum: "", keepGitDir: false }, [], { name });
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
      context: () => this.#filesVertex("context:", "[internal] load build context"),
      comment: style === "buildkit" ? "buildkit.dockerfile.v0" : "",
      created: style === "buildkit" ? buildkitHistory : classicHistory,
    };
  }
}

/** Stages are built in the order of the Dockerfile. */
function tooLate(name: string, by: Instruction, stage: Stage | undefined): BuildFailure {
  const message =
    by.kind === "RUN"
      ? `cannot mount from stage ${goQuote(name)} to ${goQuote(mountTarget(name, by))}, stage needs to be defined before current command`
      : `cannot copy from stage ${goQuote(name)}, it needs to be defined before current stage ${goQuote(stage?.name ?? "")}`;
  return new BuildFailure(message, by.lines);
}

function mountTarget(name: string, { mounts }: Extract<Instruction, { kind: "RUN" }>): string {
  const mount = mounts.find((each) => mountFrom(each) === name);
  return mount === undefined ? "" : parseMount(mount, (word) => word).target;
}

/** Names that a misspelt one may have been meant for. */
const commonImages = ["alpine", "busybox", "centos", "debian", "golang", "ubuntu", "fedora"];

/** Digest of an `[internal]` vertex. */
export const internalDigest = (...parts: readonly unknown[]): string => `sha256:${keyOf(parts)}`;
