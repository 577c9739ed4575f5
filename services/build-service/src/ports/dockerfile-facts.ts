/** What a Dockerfile says of itself, told to clients that ask for it and want nothing built. */

import type { LineRange } from "../domain/dockerfile/syntax-error.ts";
import type { Finding } from "../domain/lint/rules.ts";
import type { BuildError } from "./build.ts";

/** A build argument that a target looks at. */
export interface OutlineArgument {
  readonly name: string;
  /** Its comment, without the name; empty: none. */
  readonly description: string;
  /** Undefined: it has none. */
  readonly value: string | undefined;
  readonly lines: LineRange;
}

/** A secret, or an SSH agent, that a target asks for. */
export interface OutlineLoan {
  readonly name: string;
  readonly required: boolean;
  readonly lines: LineRange;
}

/** Parameters of one target, in the order of the Dockerfile. */
export interface Outline {
  /** Empty: the stage has no name. */
  readonly name: string;
  readonly description: string;
  readonly args: readonly OutlineArgument[];
  readonly secrets: readonly OutlineLoan[];
  readonly ssh: readonly OutlineLoan[];
}

/** A stage that can be built. */
export interface TargetFacts {
  /** Empty: the stage has no name. */
  readonly name: string;
  readonly isDefault: boolean;
  readonly description: string;
  /** As written. */
  readonly base: string;
  readonly platform: string;
  readonly lines: LineRange;
}

/** What the checks find. */
export interface LintReport {
  readonly findings: readonly Finding[];
  /** Why it could not be checked as a whole. */
  readonly failure: BuildError | undefined;
}
