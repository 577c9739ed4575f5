/** Stages that instructions take files from. */
import { BuildFailure } from "../domain/build-failure.ts";
import { goQuote } from "../domain/dockerfile/go-quote.ts";
import type { Instruction } from "../domain/dockerfile/instruction.ts";
import { mountFrom } from "../domain/dockerfile/mount-words.ts";
import { parseMount } from "../domain/frontend/mounts.ts";
import { type Stage, stageCalled } from "../domain/frontend/stages.ts";
import { namedContext } from "./named-contexts.ts";
import type { PlanContext } from "./plan-context.ts";

/**
 * The stage that `--from` names. Only COPY counts stages. Throws BuildFailure.
 * @param built how many the classic builder has built by now
 */
export function stageTakenBy(
  context: PlanContext,
  name: string,
  by: Instruction,
  built?: number,
): Stage | undefined {
  const { file, style } = context;
  const stages = file.stages.slice(0, built);
  const isNumber = /^[-+]?\d+$/.test(name);
  if (style === "buildkit" && isNumber && by.kind === "RUN") return undefined;
  const stage = stageCalled(stages, name.toLowerCase());
  if (stage !== undefined || !isNumber || namedContext(context, name) !== undefined) return stage;
  if (style === "buildkit") throw new BuildFailure(`invalid stage index ${String(Number(name))}`);
  const reason = Number(name) === built ? "refers to current build stage" : "index out of bounds";
  throw new BuildFailure(`invalid from flag value ${name}: ${reason}`);
}

/** Stages are built in the order of the Dockerfile. */
export function tooLate(name: string, by: Instruction, stage: Stage | undefined): BuildFailure {
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
