/** Cgroups for a container of a test, named after this process. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { CgroupInit } from "./shim-plan.ts";

export const cgroupRoot = "/sys/fs/cgroup";
export const unified = existsSync(`${cgroupRoot}/unified`) ? `${cgroupRoot}/unified` : cgroupRoot;
export const v1 = (controller: string): string | undefined =>
  existsSync(`${cgroupRoot}/${controller}/cgroup.procs`)
    ? `${cgroupRoot}/${controller}`
    : undefined;
export const cgroupName = `gantry-shim-test-${process.pid}`;

/**
 * Directories of one test container in the hierarchies that this machine has, with a memory limit.
 * @param extra `mayKill`: false takes v1's out-of-memory killer away
 */
export function cgroups(extra: { memory?: string; mayKill?: boolean } = {}): CgroupInit {
  const memory = v1("memory");
  const pids = v1("pids");
  const freezer = v1("freezer");
  const dirs = [
    {
      path: join(unified, cgroupName),
      remove: true,
      attach: false,
      writes:
        memory === undefined && extra.memory !== undefined
          ? [{ file: "memory.max", value: extra.memory }]
          : [],
    },
  ];
  if (memory !== undefined)
    dirs.push({
      path: join(memory, cgroupName),
      remove: true,
      attach: true,
      writes: [
        ...(extra.memory === undefined
          ? []
          : [{ file: "memory.limit_in_bytes", value: extra.memory }]),
        ...(extra.mayKill === false ? [{ file: "memory.oom_control", value: "1" }] : []),
      ],
    });
  if (pids !== undefined)
    dirs.push({
      path: join(pids, cgroupName),
      remove: true,
      attach: true,
      writes: [{ file: "pids.max", value: "77" }],
    });
  if (freezer !== undefined)
    dirs.push({ path: join(freezer, cgroupName), remove: true, attach: true, writes: [] });
  return {
    dirs,
    v2Dir: join(unified, cgroupName),
    ...(memory === undefined ? {} : { oomDir: join(memory, cgroupName) }),
  };
}

/** The test container's cgroups that are still there. */
export function leftCgroups(): string[] {
  return [unified, v1("memory"), v1("pids"), v1("freezer")].filter(
    (root) => root !== undefined && existsSync(join(root, cgroupName)),
  ) as string[];
}
