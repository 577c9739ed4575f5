/** A further process in a container. */

/** What was asked for; never changes. */
export interface ExecRequest {
  readonly id: string;
  readonly containerId: string;
  readonly cmd: readonly string[];
  readonly env: readonly string[];
  readonly user: string;
  readonly workingDir: string;
  readonly tty: boolean;
  readonly privileged: boolean;
  readonly attachStdin: boolean;
  readonly attachStdout: boolean;
  readonly attachStderr: boolean;
  /** Bytes, as hex; empty: the default was meant. */
  readonly detachKeys: string;
  readonly consoleHeight: number;
  readonly consoleWidth: number;
}

/**
 * Where it stands: `created` → `starting` (start was called; it may wait for its connection) →
 * `running` → `ended`. A failure to start goes from `starting` to `ended` with the exit code that
 * Docker gives it.
 */
export type ExecState =
  | { readonly status: "created" }
  | { readonly status: "starting" }
  | { readonly status: "running"; readonly pid: number }
  | {
      readonly status: "ended";
      readonly pid: number;
      readonly exitCode: number;
      readonly endedAtNano: bigint;
    };

/** An exec. Records are never changed, only replaced. */
export interface ExecRecord extends ExecRequest {
  readonly state: ExecState;
}

/** Docker's word for the command in events: the program, a blank, and its arguments joined by blanks, if it has any. */
export function execCommandText(exec: Pick<ExecRequest, "cmd">): string {
  const [program = "", ...args] = exec.cmd;
  return `${program} ${args.join(" ")}`;
}
