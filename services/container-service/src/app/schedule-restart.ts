/** Starts of the restart policy, after their pause. */
import { nextPauseMs } from "../domain/restart-policy.ts";
import { type App, advanceSurely } from "./context.ts";
import type { Entry } from "./entry.ts";
import { launch } from "./start-container.ts";

/** Plans the next start. @param runMs how long the run lasted that ended. */
export function scheduleRestart(app: App, entry: Entry, runMs: number): void {
  entry.restartPauseMs = nextPauseMs(entry.restartPauseMs, runMs);
  entry.restartTimer = setTimeout(() => {
    entry.restartTimer = undefined;
    void restartNow(app, entry);
  }, entry.restartPauseMs);
}

/** Starts a container that is `restarting`; a failure ends in `exited`, unless the disk was full, and is logged here. */
export async function restartNow(app: App, entry: Entry): Promise<void> {
  await entry.serial.run(async () => {
    if (entry.record.state.status !== "restarting" || entry.removing || app.shuttingDown) return;
    const restartCount = entry.record.restartCount + 1;
    try {
      await launch(app, entry, { restartCount, manuallyStopped: false });
    } catch (error) {
      app.logger.warn({ err: error, container: entry.id }, "restart by policy has failed");
      // The disk was full: it is tried again.
      if (entry.record.state.status === "restarting") scheduleRestart(app, entry, 0);
    }
  });
}

/** A user or the end of the engine takes a planned start back. Inside the container's queue. */
export function cancelRestart(app: App, entry: Entry, manuallyStopped: boolean): void {
  clearTimeout(entry.restartTimer);
  entry.restartTimer = undefined;
  if (entry.record.state.status !== "restarting") return;
  void advanceSurely(app, entry, { type: "give-up-restart" }, [], { manuallyStopped });
}

/** The same for a user who stops or kills what is between two runs. */
export async function giveUpRestart(app: App, entry: Entry): Promise<void> {
  await entry.serial.run(() => {
    cancelRestart(app, entry, true);
    return Promise.resolve();
  });
}
