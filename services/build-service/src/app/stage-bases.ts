/** What stages begin with: an earlier stage, an image, a named context, or nothing. */
import { formatPlatform, type Platform } from "@gantry/oci";
import { BuildFailure } from "../domain/build-failure.ts";
import type { Lookup } from "../domain/dockerfile/expand.ts";
import type { Instruction } from "../domain/dockerfile/instruction.ts";
import { lexDockerfile } from "../domain/dockerfile/lexer.ts";
import { parseInstruction } from "../domain/dockerfile/parse.ts";
import { type StageState, withConfig } from "../domain/frontend/stage-state.ts";
import type { Stage } from "../domain/frontend/stages.ts";
import { type Vertex, vertexOf } from "../domain/solver/vertex.ts";
import type { ContextSource } from "../ports/build-inputs.ts";
import type { BaseImage } from "../ports/layers.ts";
import { copiedAll, emptyState, imageVertex, startingDocument } from "./base-states.ts";
import { findImage, resolvedName } from "./find-image.ts";
import { contextFiles, contextImage, knownContext } from "./named-contexts.ts";
import type { PlanContext } from "./plan-context.ts";
import type { PlannedStage } from "./planned-stage.ts";
import type { StageFacts } from "./stage-facts.ts";

const nothing: Lookup = () => undefined;

/** What a stage begins with. */
interface StageBase {
  readonly state: StageState;
  /** Image that it stands on; undefined: another stage, or nothing. */
  readonly image: BaseImage | undefined;
  /** Instructions that the base has put off for its children. */
  readonly triggers: readonly Instruction[];
  /** Index of the stage that it stands on. */
  readonly parent?: number;
}

/** Finds the bases of a Dockerfile's stages. */
export class StageBases {
  readonly #context: PlanContext;
  readonly #facts: StageFacts;

  constructor(context: PlanContext, facts: StageFacts) {
    this.#context = context;
    this.#facts = facts;
  }

  /** Throws BuildFailure. @param plan plans an earlier stage */
  async of(stage: Stage, plan: (earlier: Stage) => Promise<PlannedStage>): Promise<StageBase> {
    const name = this.#facts.baseName(stage);
    const platform = this.#facts.platformOf(stage);
    const earlier = this.#facts.earlierStage(stage, name);
    // A stage of a context's name is that context.
    if (stage.named) knownContext(this.#context, stage.name, stage.from.lines);
    const named = knownContext(this.#context, name, stage.from.lines);
    if (named === undefined && earlier !== undefined) {
      const { state } = await plan(earlier);
      const taken = takeTriggers({ ...state, hasCommand: false }, stage);
      return { ...taken, image: undefined, parent: earlier.index };
    }
    if (named?.kind === "result") return this.#fromResult(named, stage, platform);
    if (named?.kind === "local" || named?.kind === "remote") {
      const tree = await contextFiles(name, named);
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
      const { image, tree } = await contextImage(this.#context, name, named, platform, stage.from);
      return this.#overImage(image, { ...tree, lines: stage.from.lines }, stage);
    }
    return await this.#fromImage(name, stage, platform);
  }

  async #fromImage(reference: string, stage: Stage, platform: Platform) {
    const image = await findImage(this.#context, reference, platform, stage.from);
    const { all } = this.#facts.countSteps(stage, 0);
    const place = `${"1".padStart(String(all).length)}/${String(all)}`;
    const resolved = resolvedName(this.#context, reference, image);
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
    return { ...takeTriggers(state, stage), image };
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
    return { ...takeTriggers(state, stage), image: undefined };
  }
}

/** ONBUILD of the base: instructions of this stage, and none of its children's. */
function takeTriggers(state: StageState, stage: Stage) {
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
