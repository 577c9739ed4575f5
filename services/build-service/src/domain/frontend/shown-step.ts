/** What a step is called in the build's display: BuildKit shows the line of the Dockerfile, as a word that it expands. */
import { type ExpandOptions, expandWord } from "../dockerfile/expand.ts";
import type { Instruction } from "../dockerfile/instruction.ts";
import { lookupIn, type StageState } from "./stage-state.ts";

/** The line with variables filled in and without quotes. */
export function shownStep(state: StageState, { original }: Instruction, escape: string): string {
  return shownText(state, original, { escape });
}

/** The text expanded, its first word in upper case; as it stands where it can't be expanded. */
export function shownText(state: StageState, text: string, options: ExpandOptions): string {
  return expanded(state, text, options).replace(/^[^ ]+/, (keyword) => keyword.toUpperCase());
}

function expanded(state: StageState, text: string, options: ExpandOptions): string {
  try {
    return expandWord(text, lookupIn(state), options).text;
  } catch {
    return text;
  }
}
