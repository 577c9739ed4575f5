/** Waiting for a start that is under way: what is asked of a container is asked of how that comes out. */
import { setTimeout as pause } from "node:timers/promises";
import { internal } from "@gantry/errors";
import type { App } from "./context.ts";
import type { Entry } from "./entry.ts";

export async function settled(entry: Entry): Promise<void> {
  if (entry.record.state.status === "starting") await entry.serial.run(() => Promise.resolve());
}

/** A start that is under way is waited for, unless it hangs for so long. */
export const startGraceMs = 10_000;

/** After the kill of its processes a start has to fail within this time, or one of them cannot be killed. */
const failTimeoutMs = 15_000;

/**
 * The same for who ends containers: a start that does not come out in time is killed.
 * Errors: internal (its processes cannot be killed).
 */
export async function settledInTime(app: App, entry: Entry, timeoutMs: number): Promise<void> {
  if (entry.record.state.status !== "starting") return;
  const outcome = settled(entry);
  if (await within(outcome, timeoutMs)) return;
  app.logger.warn({ container: entry.id }, "a start that hangs is killed");
  await app.shim.kill({ id: entry.id });
  if (await within(outcome, failTimeoutMs)) return;
  throw internal("tried to kill container, but its start does not come to an end");
}

async function within(work: Promise<void>, timeoutMs: number): Promise<boolean> {
  const timer = new AbortController();
  try {
    const late = pause(timeoutMs, false, { signal: timer.signal });
    return await Promise.race([work.then(() => true), late]);
  } finally {
    timer.abort();
  }
}
