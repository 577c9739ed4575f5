/** Delete: removes what a container left behind. */
import { conflict } from "@gantry/errors";
import { type Brain, cgroupOf, containerOf } from "./container.ts";
import { shimGone, unprepare } from "./prepare.ts";

export async function deleteContainer(brain: Brain, id: string): Promise<void> {
  const container = containerOf(brain, id);
  await container.serialize(async () => {
    if (container.state.status === "running") throw conflict(`container ${id} is running`);
    unprepare(brain, container);
    const cgroup = cgroupOf(brain, container);
    if (container.state.status === "ended") await shimGone(brain, container.state.run);
    await brain.cgroups.remove(cgroup);
    container.folder.remove();
    brain.containers.delete(id);
  });
}
