/** Stop: the stop signal, time to end, then the hard end. A caller that goes away does not cancel it. */
import { hasKind, notModified } from "@gantry/errors";
import { isLive } from "../domain/container-state.ts";
import { parseSignal, parseStopSignal } from "../domain/signals.ts";
import { type App, containerEvent } from "./context.ts";
import type { Entry, StopIntent } from "./entry.ts";
import { forceStop } from "./force-stop.ts";
import { thaw } from "./pause-container.ts";
import { giveUpRestart } from "./schedule-restart.ts";
import { settledInTime, startGraceMs } from "./settled.ts";
import { untilExit } from "./until-exit.ts";

/** How to stop. */
export interface StopOptions {
  /** Name or number; empty: the container's, else TERM. */
  readonly signal: string;
  /** Before it is killed; -1 = never, undefined = the container's, else ten. */
  readonly timeoutSeconds: number | undefined;
}

const defaultTimeoutSeconds = 10;
/** A start that hangs is given this time by who would wait for ever. */
const longestStartMs = 60_000;

/** Stops a container for a user. */
export async function stopContainer(
  app: App,
  reference: string,
  options: StopOptions,
): Promise<void> {
  const entry = app.registry.find(reference);
  const timeoutMs = timeoutMsOf(entry, options) ?? longestStartMs;
  await settledInTime(app, entry, Math.max(timeoutMs, startGraceMs));
  if (entry.record.state.status === "restarting") {
    await giveUpRestart(app, entry);
    return;
  }
  if (!isLive(entry.record.state)) {
    throw notModified(`container ${entry.id} is already stopped`);
  }
  if (options.signal !== "") parseSignal(options.signal, `cannot stop container: ${reference}: `);
  await stopRun(app, entry, options, "stop");
  app.store.append([containerEvent(entry.record, "stop")]);
  await app.store.synced();
}

/** Ends the run that goes on, politely first. Resolves when its end is recorded. */
export async function stopRun(
  app: App,
  entry: Entry,
  options: StopOptions,
  intent: StopIntent,
): Promise<void> {
  if (!isLive(entry.record.state)) return;
  entry.intent = intent;
  const signal = options.signal === "" ? stopSignalOf(entry) : parseSignal(options.signal);
  const timeoutMs = timeoutMsOf(entry, options);
  const ended = untilExit(entry, timeoutMs);
  if (signal !== undefined) await sendSignal(app, entry, signal, true);
  if (!(await ended)) await forceStop(app, entry);
}

/** The container's own; undefined when no signal has its number, and nothing but SIGKILL ends it. */
function stopSignalOf(entry: Entry): number | undefined {
  return parseStopSignal(entry.record.config.stopSignal);
}

function timeoutMsOf(entry: Entry, options: StopOptions): number | undefined {
  const seconds =
    options.timeoutSeconds ?? entry.record.config.stopTimeoutSeconds ?? defaultTimeoutSeconds;
  return seconds < 0 ? undefined : seconds * 1000;
}

/**
 * Sends a signal and tells the event. A process that has ended meanwhile is no error.
 * @param thaws what is paused runs on, so that it can end
 */
export async function sendSignal(
  app: App,
  entry: Entry,
  signal: number,
  thaws: boolean,
): Promise<void> {
  app.store.append([containerEvent(entry.record, "kill", { signal: String(signal) })]);
  try {
    await app.shim.signalProcess({ id: entry.id, signal });
    if (thaws) await thaw(app, entry);
  } catch (error) {
    if (!hasKind(error, "conflict") && !hasKind(error, "not_found")) throw error;
  }
}
