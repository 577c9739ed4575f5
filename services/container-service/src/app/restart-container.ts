/** Restart: stop and start, or only start when it does not run. */
import { conflict } from "@gantry/errors";
import { isLive } from "../domain/container-state.ts";
import { parseSignal } from "../domain/signals.ts";
import { type App, containerEvent } from "./context.ts";
import { cancelRestart } from "./schedule-restart.ts";
import { launch } from "./start-container.ts";
import { type StopOptions, stopRun } from "./stop-container.ts";

export async function restartContainer(
  app: App,
  reference: string,
  options: StopOptions,
): Promise<void> {
  const entry = app.registry.find(reference);
  if (options.signal !== "") parseSignal(options.signal, `Cannot restart container ${reference}: `);
  const wasRunning = isLive(entry.record.state);
  await stopRun(app, entry, options, "restart");
  if (wasRunning) app.store.append([containerEvent(entry.record, "stop")]);
  await entry.serial.run(async () => {
    cancelRestart(app, entry, false);
    const { status } = entry.record.state;
    if (entry.removing || status === "removing" || status === "dead") {
      throw conflict("container is marked for removal and cannot be started");
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
