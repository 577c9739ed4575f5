/** What planning makes of a Dockerfile's stages. */
import type { Instruction } from "../domain/dockerfile/instruction.ts";
import type { StageState } from "../domain/frontend/stage-state.ts";
import type { Stage } from "../domain/frontend/stages.ts";
import type { BaseImage } from "../ports/layers.ts";

/** One instruction of a stage and the state after it. */
export interface PlannedStep {
  readonly instruction: Instruction;
  readonly before: StageState;
  readonly state: StageState;
  /** Set for steps of ONBUILD. */
  readonly isTrigger: boolean;
  /** It is wrong: the state is that before it. */
  readonly isWrong?: boolean;
}

/** A stage whose base is there, and whose instructions are planned one by one. */
export interface BegunStage extends Pick<PlannedStage, "stage" | "base" | "image" | "parent"> {
  /** Triggers of the base first. */
  readonly instructions: readonly Instruction[];
  readonly triggers: number;
  /** Plans the next instruction. Throws BuildFailure. */
  advance(): Promise<PlannedStep>;
  /** The stage as far as it has been planned: from now on others can stand on it. */
  end(): PlannedStage;
}

/** A stage, planned. */
export interface PlannedStage {
  readonly stage: Stage;
  /** After FROM. */
  readonly base: StageState;
  /** Image that it stands on; undefined: another stage, or nothing. */
  readonly image: BaseImage | undefined;
  /** Index of the stage that it stands on. */
  readonly parent: number | undefined;
  readonly steps: readonly PlannedStep[];
  readonly state: StageState;
}
