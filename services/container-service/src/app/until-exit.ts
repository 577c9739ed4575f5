/** Waiting for a run to end, for those who ended it. */
import { isLive } from "../domain/container-state.ts";
import type { Entry } from "./entry.ts";

/**
 * Resolves true when the run that goes on has ended, false when time is up.
 * @param timeoutMs undefined: no limit.
 */
export async function untilExit(entry: Entry, timeoutMs: number | undefined): Promise<boolean> {
  if (!isLive(entry.record.state)) return true;
  const controller = new AbortController();
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => {
          controller.abort();
        }, timeoutMs);
  try {
    await entry.waiters.add("next-exit", controller.signal);
    return true;
  } catch {
    // Only our own time-out aborts this wait.
    return false;
  } finally {
    clearTimeout(timer);
  }
}
