/** Labels of a classic build's request: steps of their own at the end of the last stage. */
import type { PairsInstruction } from "../../domain/dockerfile/instruction.ts";
import type { Stage, Stages } from "../../domain/frontend/stages.ts";

/** The stages up to the target, whose last steps set the labels. */
export function withLabelSteps(
  { globalArgs, stages }: Stages,
  target: Stage,
  labels: ReadonlyMap<string, string>,
  escape: string,
): Stages {
  const upToTarget = stages.slice(0, target.index + 1);
  const steps = [...labels]
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, value]): PairsInstruction => {
      const pairs = [{ key: literal(key, escape), value: literal(value, escape) }];
      const { lines } = target.from;
      return { kind: "LABEL", pairs, lines, original: `LABEL ${key}=${value}`, comments: [] };
    });
  const last = { ...target, instructions: [...target.instructions, ...steps] };
  return { globalArgs, stages: upToTarget.with(-1, last) };
}

/** A word that stands for itself. */
function literal(text: string, escape: string): string {
  return text.replaceAll(/["'$\\`]/g, (each) =>
    (each === "\\" || each === "`") && each !== escape ? each : `${escape}${each}`,
  );
}
