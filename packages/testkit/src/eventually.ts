/** Waiting for a state that no event tells of. */
import { setTimeout as pause } from "node:timers/promises";
import { slowness } from "./slowness.ts";

/** Options of eventually. */
export interface EventuallyOptions {
  /** Give up after this time and throw the last failure. Default 30 s: a loaded machine is slow, not broken. */
  readonly timeoutMs?: number;
  /** Pause between checks. Default 20 ms. */
  readonly intervalMs?: number;
}

/**
 * Runs `check` until it neither throws nor answers false or undefined, and returns its answer.
 * When time is up, the last failure is thrown.
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  options: EventuallyOptions = {},
): Promise<Exclude<T, false | undefined>> {
  const until = performance.now() + (options.timeoutMs ?? 30_000) * slowness;
  for (;;) {
    const result = await attempt(check);
    if (result.ok) return result.value as Exclude<T, false | undefined>;
    if (performance.now() >= until) throw result.error;
    await pause(options.intervalMs ?? 20);
  }
}

type Attempt<T> = { ok: true; value: T } | { ok: false; error: unknown };

async function attempt<T>(check: () => T | Promise<T>): Promise<Attempt<T>> {
  try {
    const value = await check();
    if (value !== false && value !== undefined) return { ok: true, value };
    return { ok: false, error: new Error(`still ${String(value)}: ${check.toString()}`) };
  } catch (error) {
    return { ok: false, error };
  }
}
