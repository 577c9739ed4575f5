/** Instructions of a Dockerfile, understood but not expanded. */
import type { Heredoc } from "./lexer.ts";
import type { LineRange } from "./syntax-error.ts";

/** What every instruction has. */
interface Place {
  readonly lines: LineRange;
  /** As written, continuations joined. */
  readonly original: string;
  /** Comment lines since the instruction before it, without `# `. */
  readonly comments: readonly string[];
}

/** Shell form or exec form. */
export type Command =
  | { readonly form: "shell"; readonly text: string }
  | { readonly form: "exec"; readonly args: readonly string[] };

/** A key with its value, both unexpanded. */
export interface KeyValue {
  readonly key: string;
  readonly value: string;
}

/** FROM. */
export interface FromInstruction extends Place {
  readonly kind: "FROM";
  readonly image: string;
  readonly platform: string | undefined;
  /** Stage name in lower case. */
  readonly as: string | undefined;
}

/** RUN. */
export interface RunInstruction extends Place {
  readonly kind: "RUN";
  readonly command: Command;
  /** Values of --mount, as written. */
  readonly mounts: readonly string[];
  readonly network: string | undefined;
  readonly security: string | undefined;
  /** `--device` is given, which only a later frontend would understand. */
  readonly hasDevice: boolean;
  readonly heredocs: readonly Heredoc[];
}

/** COPY and ADD. */
export interface CopyInstruction extends Place {
  readonly kind: "COPY" | "ADD";
  readonly sources: readonly string[];
  readonly destination: string;
  readonly heredocs: readonly Heredoc[];
  readonly from: string | undefined;
  readonly chown: string | undefined;
  readonly chmod: string | undefined;
  readonly checksum: string | undefined;
  readonly exclude: readonly string[];
  readonly link: boolean;
  readonly parents: boolean;
  readonly keepGitDir: boolean;
  /** Undefined: as the instruction does by default. */
  readonly unpack: boolean | undefined;
}

/** ENV and LABEL. */
export interface PairsInstruction extends Place {
  readonly kind: "ENV" | "LABEL";
  readonly pairs: readonly KeyValue[];
}

/** ARG. */
export interface ArgInstruction extends Place {
  readonly kind: "ARG";
  readonly args: readonly { readonly name: string; readonly defaultValue: string | undefined }[];
}

/** Instructions with one word or text. */
export interface TextInstruction extends Place {
  readonly kind: "WORKDIR" | "USER" | "STOPSIGNAL" | "MAINTAINER";
  readonly text: string;
}

/** Instructions with several words. */
export interface WordsInstruction extends Place {
  readonly kind: "VOLUME" | "EXPOSE" | "SHELL";
  readonly words: readonly string[];
}

/** CMD and ENTRYPOINT. */
export interface CommandInstruction extends Place {
  readonly kind: "CMD" | "ENTRYPOINT";
  readonly command: Command;
}

/** HEALTHCHECK. Durations in nanoseconds, 0 = not given. */
export interface HealthcheckInstruction extends Place {
  readonly kind: "HEALTHCHECK";
  /** Undefined: NONE. */
  readonly command: Command | undefined;
  readonly intervalNs: number;
  readonly timeoutNs: number;
  readonly startPeriodNs: number;
  readonly startIntervalNs: number;
  readonly retries: number;
}

/** ONBUILD. */
export interface OnbuildInstruction extends Place {
  readonly kind: "ONBUILD";
  /** The trigger's text. */
  readonly trigger: string;
}

/** Any instruction. */
export type Instruction =
  | FromInstruction
  | RunInstruction
  | CopyInstruction
  | PairsInstruction
  | ArgInstruction
  | TextInstruction
  | WordsInstruction
  | CommandInstruction
  | HealthcheckInstruction
  | OnbuildInstruction;
