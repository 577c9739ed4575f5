/** A Dockerfile as stages: which there are, and on which others each depends. */
import { BuildFailure } from "../build-failure.ts";
import { goQuote } from "../dockerfile/go-quote.ts";
import type { ArgInstruction, FromInstruction, Instruction } from "../dockerfile/instruction.ts";
import { didYouMean } from "../dockerfile/nearest.ts";
import type { Dockerfile } from "../dockerfile/parse.ts";

/** One stage. */
export interface Stage {
  readonly index: number;
  /** Name in lower case, or `stage-<index>`. */
  readonly name: string;
  readonly named: boolean;
  readonly from: FromInstruction;
  readonly instructions: readonly Instruction[];
}

/** A whole file. */
export interface Stages {
  /** ARGs before the first FROM. */
  readonly globalArgs: readonly ArgInstruction[];
  readonly stages: readonly Stage[];
}

/** Splits at FROM. Throws BuildFailure. */
export function splitStages(dockerfile: Dockerfile): Stages {
  const globalArgs: ArgInstruction[] = [];
  const stages: { from: FromInstruction; instructions: Instruction[] }[] = [];
  for (const instruction of dockerfile.instructions) {
    if (instruction.kind === "FROM") stages.push({ from: instruction, instructions: [] });
    else if (stages.length > 0) stages.at(-1)?.instructions.push(instruction);
    else if (instruction.kind === "ARG") globalArgs.push(instruction);
  }
  if (stages.length === 0) throw new BuildFailure("dockerfile contains no stages to build");
  return {
    globalArgs,
    stages: stages.map(({ from, instructions }, index) => ({
      index,
      name: from.as ?? `stage-${String(index)}`,
      named: from.as !== undefined,
      from,
      instructions,
    })),
  };
}

/** The stage to build: by name; the last one for an empty target. */
export function findTarget(stages: readonly Stage[], target: string): Stage {
  const name = target.toLowerCase();
  const found =
    target === "" ? stages.at(-1) : stages.findLast((each) => each.named && each.name === name);
  if (found !== undefined) return found;
  const hint = didYouMean(
    target,
    stages.map((each) => each.name),
  );
  throw new BuildFailure(`target stage ${goQuote(target)} could not be found${hint}`);
}

/** A stage by name (the last of that name), else by index. */
export function stageCalled(stages: readonly Stage[], name: string): Stage | undefined {
  const named = stages.findLast((stage) => stage.named && stage.name === name);
  if (named !== undefined) return named;
  return /^\d+$/.test(name) ? stages[Number(name)] : undefined;
}
