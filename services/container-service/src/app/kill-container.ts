/** Kill: a signal by name or number; SIGKILL waits for the end. */
import { conflict, EngineError, toEngineError } from "@gantry/errors";
import { isLive } from "../domain/container-state.ts";
import { parseSignal, parseStopSignal } from "../domain/signals.ts";
import type { App } from "./context.ts";
import type { Entry } from "./entry.ts";
import { forceStop } from "./force-stop.ts";
import { giveUpRestart } from "./schedule-restart.ts";
import { settledInTime, startGraceMs } from "./settled.ts";
import { sendSignal } from "./stop-container.ts";

const sigkill = 9;
/** @param signal empty: KILL. Errors: conflict (not running), invalid_argument. */
export async function killContainer(app: App, reference: string, signal: string): Promise<void> {
  const context = `cannot kill container: ${reference}: `;
  const number = parseSignal(
    signal || "KILL",
    context,
    "the linux daemon does not support signal ",
  );
  const entry = findFor(app, reference, context);
  await settledInTime(app, entry, startGraceMs);
  const { stopSignal } = entry.record.config;
  // As in dockerd: whatever a container without a stop signal of its own gets, it is not to run again.
  const isStop = number === sigkill || stopSignal === "" || number === parseStopSignal(stopSignal);
  if (entry.record.state.status === "restarting") {
    // Nothing runs that could get the signal: it says only whether there is to be a next run.
    if (isStop) await giveUpRestart(app, entry);
    return;
  }
  if (!isLive(entry.record.state)) {
    throw conflict(`${context}container ${entry.id} is not running`);
  }
  if (number === sigkill) {
    await forceStop(app, entry);
    return;
  }
  if (isStop) entry.intent = "stop";
  await sendSignal(app, entry, number, isStop);
  await app.store.settled();
}

function findFor(app: App, reference: string, context: string): Entry {
  try {
    return app.registry.find(reference);
  } catch (error) {
    const { kind, message } = toEngineError(error);
    throw new EngineError(kind, `${context}${message}`, { cause: error });
  }
}
