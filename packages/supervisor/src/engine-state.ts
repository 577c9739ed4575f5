/** What the supervisor says of itself, in `<run>/supervisor.json`, for the scripts that talk to it. */
import { readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { hasErrno } from "@gantry/errors";
import { writeFileAtomic } from "@gantry/fs";

/** Phases of the engine under a supervisor. */
export type Phase = "starting" | "ready" | "restarting" | "stopping" | "failed";

/** The supervisor's own word. */
export interface EngineState {
  readonly pid: number;
  readonly phase: Phase;
  /** Counts restarts of the services (SIGUSR2), from the beginning of each. */
  readonly generation: number;
  /** Why the phase is `failed`, or what an orderly stop could not end. */
  readonly problem: string;
}

const fileOf = (runRoot: string): string => path.join(runRoot, "supervisor.json");

/** Publishes the state. */
export function saveState(runRoot: string, state: EngineState): Promise<void> {
  return writeFileAtomic(fileOf(runRoot), JSON.stringify(state), { mode: 0o644 });
}

/** Reads the state; undefined when there is none. It may be of a supervisor that is gone: see the lock. */
export function loadState(runRoot: string): EngineState | undefined {
  try {
    return JSON.parse(readFileSync(fileOf(runRoot), "utf8")) as EngineState;
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** Removes the state at an orderly end. */
export function removeState(runRoot: string): void {
  rmSync(fileOf(runRoot), { force: true });
}
