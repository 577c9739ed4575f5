/** Restart: stop and start, or only start when it does not run. */
import { EngineError, isEngineError } from "@gantry/errors";
import { isLive } from "../domain/container-state.ts";
import { parseSignal } from "../domain/signals.ts";
import { type App, containerEvent } from "./context.ts";
import type { Entry } from "./entry.ts";
import { cancelRestart } from "./schedule-restart.ts";
import { launch, markedForRemoval } from "./start-container.ts";
import { type StopOptions, stopRun } from "./stop-container.ts";

export async function restartContainer(
  app: App,
  reference: string,
  options: StopOptions,
): Promise<void> {
  const entry = app.registry.find(reference);
  try {
    await restartEntry(app, entry, options);
  } catch (error) {
    if (!isEngineError(error)) throw error;
    throw new EngineError(error.kind, `Cannot restart container ${reference}: ${error.message}`, {
      cause: error,
      details: error.details,
    });
  }
}

async function restartEntry(app: App, entry: Entry, options: StopOptions): Promise<void> {
  if (options.signal !== "") parseSignal(options.signal);
  const wasRunning = isLive(entry.record.state);
  await stopRun(app, entry, options, "restart");
  if (wasRunning) app.store.append([containerEvent(entry.record, "stop")]);
  await entry.serial.run(async () => {
    cancelRestart(app, entry, false);
    const { status } = entry.record.state;
    if (entry.removing || status === "removing" || status === "dead") {
      throw markedForRemoval();
    }
    // Somebody else was quicker: it runs, which is what was asked for.
    if (status === "created" || status === "exited") {
      entry.restartPauseMs = 0;
      await launch(app, entry, { restartCount: 0, manuallyStopped: false });
    }
  });
  app.store.append([containerEvent(entry.record, "restart")]);
  await app.store.settled();
}
