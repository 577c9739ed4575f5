/**
 * Entering a v1 cgroup takes the kernel's lock of thread groups, whose first writer after idle time waits for an RCU
 * grace period: 8 ms and more. Who comes while it waits, or within some milliseconds after, does not wait for another
 * one (cgroup_threadgroup_rwsem of kernel/cgroup/cgroup.c, rcu_sync_enter of kernel/rcu/sync.c).
 */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Logger } from "@gantry/logging";
import type { CgroupLayout, Hierarchy } from "../../compile/cgroup-layout.ts";

/**
 * A function that starts such a grace period: this process enters the cgroup that it is in, which changes nothing.
 * Where there is only v2, processes are cloned into their cgroup without the lock, and it does nothing.
 */
export function entryExpectation(layout: CgroupLayout, logger: Logger): () => void {
  const [hierarchy] = layout.v1;
  if (hierarchy === undefined) return () => undefined;
  let entering = false;
  return () => {
    if (entering) return;
    entering = true;
    void enterOwn(hierarchy)
      .catch((error: unknown) => {
        logger.debug({ err: error }, "own cgroup cannot be entered; the next start is slower");
      })
      .finally(() => {
        entering = false;
      });
  };
}

async function enterOwn(hierarchy: Hierarchy): Promise<void> {
  const own = ownCgroup(await readFile("/proc/self/cgroup", "utf8"), hierarchy);
  if (own !== undefined) await writeFile(path.join(hierarchy.mountPoint, own, "cgroup.procs"), "0");
}

/** Path of a process in a v1 hierarchy, from the text of its /proc/pid/cgroup (cgroups(7)). */
export function ownCgroup(text: string, hierarchy: Hierarchy): string | undefined {
  const wanted = hierarchy.controllers.join(",");
  if (wanted === "") return undefined;
  for (const line of text.split("\n")) {
    const [, controllers, ...rest] = line.split(":");
    if (controllers === wanted) return rest.join(":");
  }
  return undefined;
}
