/** The orderly end of the engine: every container is stopped as a shutdown of the machine does. */
import { isLive } from "../domain/container-state.ts";
import type { App } from "./context.ts";
import type { Entry } from "./entry.ts";
import { cancelRestart } from "./schedule-restart.ts";
import { settledInTime } from "./settled.ts";
import { stopRun } from "./stop-container.ts";

/** Containers that are being stopped at the same time. */
const stopAtOnce = 64;
/** Shorter than for a stop that a user asks for: a start that hangs does not hold up the end of the engine. */
const shutdownGraceMs = 5_000;

/**
 * Stops everything, then takes the engine's traces off the host. Policies are remembered: what ran
 * is found `exited`, not stopped by a user, and starts again with the engine. Idempotent.
 * Returns the IDs whose processes cannot be killed.
 */
export async function shutdown(app: App): Promise<string[]> {
  app.shuttingDown = true;
  const unkillable: string[] = [];
  const rest = app.registry.all();
  const worker = async (): Promise<void> => {
    for (let entry = rest.pop(); entry !== undefined; entry = rest.pop()) {
      if (!(await stopOne(app, entry))) unkillable.push(entry.id);
    }
  };
  await Promise.all(Array.from({ length: stopAtOnce }, worker));
  await app.networking.teardownHost();
  await app.volumes.teardownHost();
  await app.store.synced();
  return unkillable;
}

/** False when it cannot be killed. */
async function stopOne(app: App, entry: Entry): Promise<boolean> {
  try {
    await settledInTime(app, entry, shutdownGraceMs);
    await entry.serial.run(() => {
      cancelRestart(app, entry, false);
      return Promise.resolve();
    });
    // As restart: it is no stop by a user, so that unless-stopped starts it again.
    if (isLive(entry.record.state)) {
      await stopRun(app, entry, { signal: "", timeoutSeconds: undefined }, "restart");
    }
    await entry.serial.run(async () => {
      await app.shim.delete({ id: entry.id });
    });
    return true;
  } catch (error) {
    app.logger.error({ err: error, container: entry.id }, "container is not stopped");
    return !isLive(entry.record.state);
  }
}
