/**
 * Removal: by a user, or by itself after an exit. The state `removing` is written first, so that an
 * engine that dies on the way finishes the work at its next start.
 */
import { conflict, internal, notFound, toEngineError } from "@gantry/errors";
import { isLive, isRunning } from "../domain/container-state.ts";
import { parseLink } from "../domain/network/declare-rules.ts";
import { type App, advanceSurely, announceImageUse, change, containerEvent } from "./context.ts";
import type { Entry } from "./entry.ts";
import { forgetExecs } from "./exec-ended.ts";
import { forceStop } from "./force-stop.ts";
import { cancelRestart } from "./schedule-restart.ts";
import { settled, settledInTime } from "./settled.ts";
import { releaseShm } from "./shareable-shm.ts";

/** How to remove. */
export interface RemoveOptions {
  /** Kill it first when it runs. */
  readonly force: boolean;
  /** Anonymous volumes go, too. */
  readonly removeVolumes: boolean;
  /** `reference` is a legacy link's name, `/parent/alias`: only that goes. */
  readonly removeLink: boolean;
}

/** Removes a container for a user. Resolves when it is gone from the disk. */
export async function removeContainer(
  app: App,
  reference: string,
  options: RemoveOptions,
): Promise<void> {
  if (options.removeLink) {
    await removeLink(app, reference);
    return;
  }
  const entry = app.registry.find(reference);
  if (entry.removing) {
    throw conflict(`removal of container ${reference} is already in progress`);
  }
  if (!options.force) await settled(entry);
  if (isRunning(entry.record.state) && !options.force) {
    throw conflict(`cannot remove container "${reference}": ${refusal(entry)}`);
  }
  entry.removing = true;
  try {
    await stopForRemoval(app, entry);
    await entry.serial.run(() => finishRemoval(app, entry, options.removeVolumes));
  } finally {
    entry.removing = false;
  }
  await app.store.synced();
}

/** Takes a legacy link away; the containers stay. */
async function removeLink(app: App, reference: string): Promise<void> {
  app.registry.find(reference);
  const [parentName = "", alias] = reference.replace(/^\//, "").split("/");
  if (alias === undefined) {
    throw internal("Conflict, cannot remove the default link name of the container");
  }
  const parent = app.registry.find(parentName);
  await parent.serial.run(async () => {
    const { hostConfig } = parent.record;
    const links = hostConfig.links?.values ?? [];
    const kept = links.filter((link) => parseLink(link).alias !== alias);
    if (kept.length === links.length) throw notFound("container", reference);
    const list = { $typeName: "gantry.container.v1.StringList" as const, values: kept };
    await change(app, parent, { ...parent.record, hostConfig: { ...hostConfig, links: list } });
  });
}

function refusal(entry: Entry): string {
  switch (entry.record.state.status) {
    case "paused":
      return "container is paused and must be unpaused first";
    case "restarting":
      return "container is restarting: stop the container before removing or force remove";
    default:
      return "container is running: stop the container before removing or force remove";
  }
}

/** Kills what runs, whatever it is doing; a start under way is awaited by the queue. */
async function stopForRemoval(app: App, entry: Entry): Promise<void> {
  await settledInTime(app, entry, 0);
  await entry.serial.run(() => {
    cancelRestart(app, entry, true);
    return Promise.resolve();
  });
  if (isLive(entry.record.state)) await forceStop(app, entry);
}

/** Auto-remove. Returns at once; failures end in the state `dead`. */
export function removeAfterExit(app: App, entry: Entry): void {
  if (entry.removing) return;
  entry.removing = true;
  void entry.serial
    .run(async () => {
      const { exitCode } = entry.record.state.past;
      await finishRemoval(app, entry, true);
      app.departed.note(entry.id, exitCode);
    })
    .catch((error: unknown) => {
      app.logger.error({ err: error, container: entry.id }, "auto-remove has failed");
    })
    .finally(() => {
      entry.removing = false;
    });
}

/** Takes everything away, inside the queue of a container that does not run. */
async function finishRemoval(app: App, entry: Entry, removeVolumes: boolean): Promise<void> {
  const { id } = entry;
  if (app.registry.byId(id) !== entry) return;
  const { exitCode } = entry.record.state.past;
  if (entry.record.state.status !== "removing") await advanceSurely(app, entry, { type: "remove" });
  try {
    await app.shim.delete({ id });
    await releaseShm(app, entry.record);
    app.networking.forget(id);
    await app.volumes.detach(id, removeVolumes);
    await app.folders.remove(id);
    await app.store.remove(id, [containerEvent(entry.record, "destroy")]);
  } catch (error) {
    const { message } = toEngineError(error);
    await advanceSurely(app, entry, { type: "remove-failed", error: message });
    entry.waiters.removed({ exitCode, error: message });
    throw error;
  }
  forgetExecs(app, id);
  app.registry.remove(id);
  entry.waiters.removed({ exitCode, error: "" });
  announceImageUse(app);
  discardSnapshot(app, id);
}

/** Trees are deleted after the answer; what fails now is found at the next start. */
function discardSnapshot(app: App, id: string): void {
  app.images.discard(id).catch((error: unknown) => {
    app.logger.warn({ err: error, container: id }, "snapshot is left for the next start");
  });
}
