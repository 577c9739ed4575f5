/** The root of a cgroup namespace, where an engine runs in a container of its own. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { hasErrno } from "@gantry/errors";

/** While they are moved, processes may make others. */
const rounds = 20;

/** Where those go that were there before: the name that others use for it, too. */
const leafName = "init";

/**
 * Moves all processes of a v2 cgroup into a child, `init`: only one without processes of its own hands controllers
 * down (cgroups(7), no internal processes). The root of the machine may have both, and is left alone.
 */
export function vacateRoot(root: string): void {
  if (!existsSync(path.join(root, "cgroup.type"))) return;
  const leaf = path.join(root, leafName);
  for (let round = 0; round < rounds; round += 1) {
    const pids = processesOf(root);
    if (pids.length === 0) return;
    mkdirSync(leaf, { recursive: true });
    for (const pid of pids) move(pid, leaf);
  }
}

/** 0 stands for a process that this PID namespace does not show. */
function processesOf(folder: string): string[] {
  return readFileSync(path.join(folder, "cgroup.procs"), "utf8")
    .split("\n")
    .filter((pid) => pid !== "" && pid !== "0");
}

function move(pid: string, folder: string): void {
  try {
    writeFileSync(path.join(folder, "cgroup.procs"), pid);
  } catch (error) {
    if (!hasErrno(error, "ESRCH")) throw error;
  }
}
