/** What the FROM lines of a Dockerfile say of its stages, and how their steps are numbered. */
import { type Platform, parsePlatform } from "@gantry/oci";
import { BuildFailure } from "../domain/build-failure.ts";
import { expandWord, type Lookup } from "../domain/dockerfile/expand.ts";
import type { Instruction } from "../domain/dockerfile/instruction.ts";
import { didYouMean } from "../domain/dockerfile/nearest.ts";
import { shownPlatforms } from "../domain/frontend/shown-platforms.ts";
import type { Stage } from "../domain/frontend/stages.ts";
import type { PlanContext } from "./plan-context.ts";

/** Instructions that are steps of their own on the client's display. */
const steps: readonly Instruction["kind"][] = ["RUN", "COPY", "ADD", "WORKDIR"];

/** Numbers of a stage's steps. */
export interface StepCount {
  /** How many come before the stage's first instruction: 1 for an image's FROM. */
  readonly first: number;
  readonly all: number;
}

/** Pure: nothing is looked up outside. */
export class StageFacts {
  readonly #context: PlanContext;
  readonly #global: ReadonlyMap<string, string>;

  /** @param global arguments before the first FROM */
  constructor(context: PlanContext, global: ReadonlyMap<string, string>) {
    this.#context = context;
    this.#global = global;
  }

  /** Platforms are told apart where there are several. @param lookup finds what a step is told to build for */
  prefixOf(stage: Stage, lookup: Lookup): string {
    const { request } = this.#context;
    const platforms =
      request.platforms.length > 1 ? `${shownPlatforms(this.platformOf(stage), lookup)} ` : "";
    const name = this.#hasSeveralTrees() ? `${stage.name} ` : "";
    return `${platforms}${name}`;
  }

  /** Other stages, and what mounts and COPY --from take from: that of a mount without a source counts as well. */
  #hasSeveralTrees(): boolean {
    const { stages } = this.#context.file;
    const isTaking = (instruction: Instruction): boolean =>
      instruction.kind === "RUN"
        ? instruction.mounts.length > 0
        : instruction.kind === "COPY" && instruction.from !== undefined;
    return stages.length > 1 || stages.some(({ instructions }) => instructions.some(isTaking));
  }

  /** @param triggers how many the stage's base has: each counts, whatever it is */
  countSteps(stage: Stage, triggers: number): StepCount {
    const first = this.#isImage(stage) ? 1 : 0;
    const own = stage.instructions.filter(({ kind }) => steps.includes(kind)).length;
    return { first, all: first + triggers + own };
  }

  #isImage(stage: Stage): boolean {
    const name = this.baseName(stage);
    return name !== "scratch" && this.earlierStage(stage, name) === undefined;
  }

  /** The stage that a FROM takes on, rather than an image of that name. */
  earlierStage(stage: Stage, name: string): Stage | undefined {
    const earlier = this.#context.file.stages.slice(0, stage.index);
    return earlier.findLast((each) => each.named && each.name === name.toLowerCase());
  }

  /** What FROM names: a stage, a named context, or an image. Throws BuildFailure. */
  baseName(stage: Stage): string {
    const name = this.#expandGlobal(stage.from.image, stage);
    if (name !== "") return name;
    throw new BuildFailure(`base name (${stage.from.image}) should not be blank`, stage.from.lines);
  }

  /** What a stage is built for. Throws BuildFailure. */
  platformOf(stage: Stage): Platform {
    const { platform } = stage.from;
    if (platform === undefined) return this.#context.platform;
    const text = this.#expandGlobal(platform, stage);
    if (text === "" && this.#context.style === "buildkit") {
      const hint = this.#hintFor(platform);
      const message = `empty platform value from expression ${platform}${hint}`;
      throw new BuildFailure(message, stage.from.lines);
    }
    try {
      return parsePlatform(text);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const { lines } = stage.from;
      // It is placed twice.
      throw new BuildFailure(`failed to parse platform ${text}: ${reason}`, lines, {
        before: [lines],
      });
    }
  }

  /** A name that may have been meant by one that is not set. */
  #hintFor(word: string): string {
    const { escape } = this.#context;
    const { unset } = expandWord(word, (name) => this.#global.get(name), { escape });
    const hints = unset.map((name) => didYouMean(name, [...this.#global.keys()]));
    return hints.find((hint) => hint !== "") ?? "";
  }

  #expandGlobal(word: string, stage: Stage): string {
    const { escape } = this.#context;
    try {
      return expandWord(word, (name) => this.#global.get(name), { escape }).text;
    } catch (error) {
      throw new BuildFailure(
        error instanceof Error ? error.message : String(error),
        stage.from.lines,
      );
    }
  }
}
