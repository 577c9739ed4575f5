/** When a container that ended is started again, and after which pause. */
import type { RestartPolicy } from "./nouns.ts";

/** How a run ended, as the policy sees it. */
export interface EndedRun {
  readonly exitCode: number;
  /** A user stopped or killed it. */
  readonly stoppedByUser: boolean;
  /** Restarts by policy so far. */
  readonly restartCount: number;
}

/** Whether the policy starts it again. */
export function wantsRestart(policy: RestartPolicy | undefined, ended: EndedRun): boolean {
  if (ended.stoppedByUser) return false;
  switch (policy?.name) {
    case "always":
    case "unless-stopped":
      return true;
    case "on-failure":
      return (
        ended.exitCode !== 0 &&
        (policy.maximumRetryCount === 0 || ended.restartCount < policy.maximumRetryCount)
      );
    default:
      return false;
  }
}

/** A stopped container at the start of the engine. */
export interface FoundStopped {
  readonly exitCode: number;
  readonly manuallyStopped: boolean;
  /** It ran at least once. */
  readonly startedBefore: boolean;
  readonly restartCount: number;
}

/** Whether a container that does not run is started when the engine starts. */
export function wantsStartAtBoot(policy: RestartPolicy | undefined, found: FoundStopped): boolean {
  if (!found.startedBefore) return false;
  switch (policy?.name) {
    case "always":
      return true;
    case "unless-stopped":
      return !found.manuallyStopped;
    case "on-failure":
      return !found.manuallyStopped && wantsRestart(policy, { ...found, stoppedByUser: false });
    default:
      return false;
  }
}

const firstPauseMs = 100;
const longestPauseMs = 60_000;
/** A run of at least this length starts the pauses anew. */
const steadyRunMs = 10_000;

/**
 * Pause before the next start.
 * @param previousMs the pause before the run that ended, 0 = none.
 * @param runMs how long that run lasted.
 */
export function nextPauseMs(previousMs: number, runMs: number): number {
  if (previousMs === 0 || runMs >= steadyRunMs) return firstPauseMs;
  return Math.min(previousMs * 2, longestPauseMs);
}
