/** Pause and unpause: the container's cgroup is frozen and thawed. */
import { conflict, internal } from "@gantry/errors";
import { type App, advanceSurely, containerEvent } from "./context.ts";
import type { Entry } from "./entry.ts";
import { resumeHealthCheck, stopHealthCheck } from "./health-check.ts";

/** Errors: conflict (not running, already paused, restarting). */
export async function pauseContainer(app: App, reference: string): Promise<void> {
  const entry = app.registry.find(reference);
  await entry.serial.run(async () => {
    const { id } = entry;
    switch (entry.record.state.status) {
      case "running":
        break;
      case "paused":
        throw conflict(`container ${id} is already paused`);
      case "restarting":
        throw conflict(`Container ${id} is restarting, wait until the container is running`);
      default:
        throw conflict(`container ${id} is not running`);
    }
    await app.shim.pause({ id });
    // It may have ended while it was being frozen.
    if (entry.record.state.status !== "running") return;
    await advanceSurely(app, entry, { type: "pause" }, [containerEvent(entry.record, "pause")]);
    stopHealthCheck(app, entry);
  });
}

/** Errors: internal (`Container <id> is not paused`), as Docker has it. */
export async function unpauseContainer(app: App, reference: string): Promise<void> {
  const entry = app.registry.find(reference);
  if (entry.record.state.status !== "paused") throw internal(`Container ${entry.id} is not paused`);
  await thaw(app, entry);
}

/** Thaws a container if it is paused: a frozen process would see a signal only when somebody did. */
export async function thaw(app: App, entry: Entry): Promise<void> {
  await entry.serial.run(async () => {
    if (entry.record.state.status !== "paused") return;
    await app.shim.resume({ id: entry.id });
    if (entry.record.state.status !== "paused") return;
    await advanceSurely(app, entry, { type: "unpause" }, [containerEvent(entry.record, "unpause")]);
    resumeHealthCheck(app, entry);
  });
}
