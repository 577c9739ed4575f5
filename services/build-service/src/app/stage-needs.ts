/** Which stages and images a target stands on, and that the Dockerfile may ask for them: before anything is looked up. */
import { type Platform, parseReference } from "@gantry/oci";
import { BuildFailure } from "../domain/build-failure.ts";
import { expandWord } from "../domain/dockerfile/expand.ts";
import { goQuote } from "../domain/dockerfile/go-quote.ts";
import type { Instruction } from "../domain/dockerfile/instruction.ts";
import { fromNames } from "../domain/frontend/from-names.ts";
import type { Stage } from "../domain/frontend/stages.ts";
import { namedContext } from "./named-contexts.ts";
import type { PlanContext } from "./plan-context.ts";
import type { StageFacts } from "./stage-facts.ts";

/** An image that is wanted. */
export interface NeededImage {
  readonly reference: string;
  readonly platform: Platform;
  /** The instruction that wants it. */
  readonly by: Instruction;
  /** The named context that it is; undefined: it is none. */
  readonly context: string | undefined;
}

/** What `--from` means, of stages. */
export type FindStage = (name: string, by: Instruction) => Stage | undefined;

/** Looks over a whole Dockerfile. */
export class StageNeeds {
  readonly #context: PlanContext;
  readonly #facts: StageFacts;
  readonly #find: FindStage;

  constructor(context: PlanContext, facts: StageFacts, find: FindStage) {
    this.#context = context;
    this.#facts = facts;
    this.#find = find;
  }

  /** Checks every stage, whether it is wanted or not. Throws BuildFailure. */
  check(): void {
    const { stages } = this.#context.file;
    for (const stage of stages) {
      this.#facts.baseName(stage);
      this.#facts.platformOf(stage);
    }
    for (const { instructions } of stages) instructions.forEach(refuseVariables);
    for (const stage of stages) {
      const { base, taken } = this.#imagesIn(stage);
      for (const image of [...base, ...taken]) refuseName(image);
    }
    const visited = new Set<Stage>();
    for (const stage of stages) this.#refuseCircle(stage, [], visited);
  }

  /** Stages of a circle are told of with the instructions that close it. */
  #refuseCircle(first: Stage, path: readonly Step[], visited: Set<Stage>): void {
    const stage = path.at(-1)?.to ?? first;
    if (visited.has(stage)) return;
    visited.add(stage);
    for (const [name, by] of fromNames(stage.instructions)) {
      const to = this.#isNamed(name) ? undefined : this.#find(name, by);
      if (to === undefined) continue;
      const next = [...path, { by, to }];
      if (to === first || path.some((step) => step.to === to)) throw circle(first, next);
      this.#refuseCircle(first, next, visited);
    }
  }

  #isNamed(name: string): boolean {
    return namedContext(this.#context, name) !== undefined;
  }

  /** Images below a stage, in the order of the Dockerfile. */
  imagesOf(target: Stage): NeededImage[] {
    const reached = new Set<Stage>();
    this.#reach(target, reached);
    const { stages } = this.#context.file;
    const found = stages.flatMap((stage) => (reached.has(stage) ? this.#imagesIn(stage) : []));
    return [...found.flatMap(({ base }) => base), ...found.flatMap(({ taken }) => taken)];
  }

  #reach(stage: Stage, reached: Set<Stage>): void {
    if (reached.has(stage)) return;
    reached.add(stage);
    const below = this.#facts.earlierStage(stage, this.#facts.baseName(stage));
    if (below !== undefined) this.#reach(below, reached);
    for (const [name, by] of fromNames(stage.instructions)) {
      const other = this.#find(name, by);
      if (other !== undefined) this.#reach(other, reached);
    }
  }

  #imagesIn(stage: Stage): { readonly base: NeededImage[]; readonly taken: NeededImage[] } {
    const platform = this.#facts.platformOf(stage);
    const name = this.#facts.baseName(stage);
    const isStage = this.#facts.earlierStage(stage, name) !== undefined && !this.#isNamed(name);
    const base = isStage ? [] : this.#imageCalled(name, platform, stage.from);
    const taken = [...fromNames(stage.instructions)].flatMap(([each, by]) =>
      this.#find(each, by) !== undefined && !this.#isNamed(each)
        ? []
        : this.#imageCalled(each, platform, by),
    );
    return { base, taken };
  }

  #imageCalled(name: string, platform: Platform, by: Instruction): NeededImage[] {
    const named = namedContext(this.#context, name);
    if (named !== undefined && named.kind !== "image") return [];
    if (named !== undefined) return [{ reference: named.reference, platform, by, context: name }];
    return name === "scratch" ? [] : [{ reference: name, platform, by, context: undefined }];
  }
}

interface Step {
  readonly by: Instruction;
  readonly to: Stage;
}

function circle(first: Stage, steps: readonly Step[]): BuildFailure {
  const [lines, ...others] = steps.map(({ by }) => by.lines);
  const message = `circular dependency detected on stage: ${first.name}`;
  return new BuildFailure(message, lines, { before: others.toReversed() });
}

/** A name that no image can have. */
function refuseName({ reference, by }: NeededImage): void {
  try {
    parseReference(reference);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `failed to parse stage name ${goQuote(reference)}: ${reason}`;
    throw new BuildFailure(message, by.kind === "RUN" ? undefined : by.lines, { cause: error });
  }
}

function refuseVariables(instruction: Instruction): void {
  if (instruction.kind !== "COPY" || instruction.from === undefined) return;
  if (expandWord(instruction.from, () => undefined).text === instruction.from) return;
  throw new BuildFailure(
    "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround",
  );
}
