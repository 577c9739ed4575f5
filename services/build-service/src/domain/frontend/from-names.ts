/** What instructions take from other stages and images. */
import type { Instruction } from "../dockerfile/instruction.ts";
import { mountFrom } from "../dockerfile/mount-words.ts";

/** Names after `--from`, of COPY, ADD and RUN's mounts, with the first instruction that has each. */
export function fromNames(instructions: readonly Instruction[]): ReadonlyMap<string, Instruction> {
  const found = new Map<string, Instruction>();
  for (const instruction of instructions) {
    for (const name of namesIn(instruction)) {
      if (name !== "" && !found.has(name)) found.set(name, instruction);
    }
  }
  return found;
}

function namesIn(instruction: Instruction): string[] {
  if (instruction.kind === "COPY") return [instruction.from ?? ""];
  if (instruction.kind !== "RUN") return [];
  return instruction.mounts.map(mountFrom);
}
