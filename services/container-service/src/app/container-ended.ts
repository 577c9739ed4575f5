/**
 * The end of a run: what it held is given back, the state says how it ended, exactly one `die` is
 * told, those who wait are answered, and restart policy or auto-remove is decided, once.
 */

import { isLive } from "../domain/container-state.ts";
import { wantsRestart } from "../domain/restart-policy.ts";
import { type App, advanceSurely, announceImageUse, containerEvent } from "./context.ts";
import type { Entry } from "./entry.ts";
import { endExecs } from "./exec-ended.ts";
import { stopHealthCheck } from "./health-check.ts";
import { removeAfterExit } from "./remove-container.ts";
import { scheduleRestart } from "./schedule-restart.ts";
import { releaseShm } from "./shareable-shm.ts";

/** How the first process ended. */
export interface Ending {
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** Nanoseconds since the epoch. */
  readonly atNano: bigint;
}

const nanoPerSecond = 1_000_000_000n;

/** Handles the end of a run in the container's queue. A second report of the same end changes nothing. */
export async function containerEnded(app: App, entry: Entry, ending: Ending): Promise<void> {
  await entry.serial.run(async () => {
    await endRun(app, entry, ending);
    await releaseShm(app, entry.record);
  });
}

/** A restart by a user is no end; the shutdown of the engine is. */
function goesAfterExit(app: App, entry: Entry): boolean {
  return app.shuttingDown || entry.intent !== "restart";
}

/** The same, already inside the queue. Who waits is answered when the event log tells of the end, too. */
export async function endRun(app: App, entry: Entry, ending: Ending): Promise<void> {
  const { state } = entry.record;
  if (!isLive(state)) return;
  stopHealthCheck(app, entry);
  endExecs(app, entry);
  const { record, intent } = entry;
  const byUser = intent !== "none";
  const restart =
    !app.shuttingDown &&
    !entry.removing &&
    wantsRestart(record.hostConfig.restartPolicy, {
      exitCode: ending.exitCode,
      stoppedByUser: byUser,
      restartCount: record.restartCount,
    });
  const execDuration = String((ending.atNano - state.run.startedAtNano) / nanoPerSecond);
  const released = [...app.networking.release(entry.id), ...app.volumes.release(entry.id)];
  const die = containerEvent(record, "die", { exitCode: String(ending.exitCode), execDuration });
  await advanceSurely(app, entry, { type: "exit", ...ending, restart }, [...released, die], {
    manuallyStopped: record.manuallyStopped || intent === "stop",
  });
  entry.waiters.exited(ending.exitCode);
  const runMs = Number((ending.atNano - state.run.startedAtNano) / 1_000_000n);
  if (restart) scheduleRestart(app, entry, runMs);
  else if (record.hostConfig.autoRemove && goesAfterExit(app, entry)) removeAfterExit(app, entry);
  announceImageUse(app);
}
