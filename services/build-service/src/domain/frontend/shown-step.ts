/** What a step is called in the build's display: BuildKit shows the line of the Dockerfile, as a word that it expands. */
import { expandWord } from "../dockerfile/expand.ts";
import type { Instruction } from "../dockerfile/instruction.ts";
import { lookupIn, type StageState } from "./stage-state.ts";

/** The text with variables filled in and without quotes; as it stands where it can't be expanded. */
export function shownStep(state: StageState, { original }: Instruction, escape: string): string {
  return expanded(state, original, escape).replace(/^\S+/, (keyword) => keyword.toUpperCase());
}

function expanded(state: StageState, text: string, escape: string): string {
  try {
    return expandWord(text, lookupIn(state), { escape }).text;
  } catch {
    return text;
  }
}
