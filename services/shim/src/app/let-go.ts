/** Close: the brain lets go of everything, and every container runs on. */
import { anyRun, type Brain } from "./container.ts";
import { unprepare } from "./prepare.ts";
import { putAway } from "./run-end.ts";

export async function letGo(brain: Brain): Promise<void> {
  brain.events.close();
  for (const container of brain.containers.values()) {
    // A launch that is under way is waited for: half of one could not be adopted.
    await container.serialize(async () => {
      unprepare(brain, container);
      const run = anyRun(container);
      if (run !== undefined) putAway(run);
      container.state = { status: "idle" };
      await Promise.resolve();
    });
  }
  brain.containers.clear();
  await brain.cgroups.removeParent(`/${brain.cgroupParent}`);
}
