/** The cgroups of containers in all hierarchies of the machine. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { rmdir } from "node:fs/promises";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { hasErrno, internal, invalidArgument } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import type { RuntimeResources } from "@gantry/oci/runtime-spec";
import {
  type CgroupLayout,
  type Hierarchy,
  hierarchyPath,
  v1With,
} from "../../compile/cgroup-layout.ts";
import { type ControllerWrites, compileLimits, limitProblem } from "../../compile/cgroup-writes.ts";
import type { CgroupWrite } from "../../compile/plan-types.ts";
import type { Cgroups } from "../../ports.ts";
import { entryExpectation } from "./expect-entry.ts";
import { isGone, parseNumber, readText, subtree, writeText } from "./files.ts";
import { freeze, isFrozen, killAll, mainFolder, pidsBelow, thaw } from "./freezer.ts";
import { readCgroupStats } from "./stats.ts";
import { vacateRoot } from "./vacate-root.ts";

/** Dying tasks keep their directory busy for some milliseconds. */
const removeTries = 40;

export function openCgroups(layout: CgroupLayout, logger: Logger): Cgroups {
  const hierarchies = layout.v2 === undefined ? layout.v1 : [...layout.v1, layout.v2];
  return {
    layout,
    parentCpuset: () => rootCpuset(layout),
    ensureParent: (cgroupPath) => {
      const parent = path.posix.dirname(cgroupPath);
      for (const hierarchy of hierarchies) ensureParents(hierarchy, layout, parent);
    },
    expectEntry: entryExpectation(layout, logger),
    async pids(cgroupPath) {
      const folder = await mainFolder(layout, cgroupPath);
      return folder === undefined ? [] : await pidsBelow(folder);
    },
    freeze: (cgroupPath) => freeze(layout, cgroupPath),
    thaw: (cgroupPath) => thaw(layout, cgroupPath),
    isFrozen: (cgroupPath) => isFrozen(layout, cgroupPath),
    kill: (cgroupPath, deadlineMs) => killAll(layout, cgroupPath, deadlineMs),
    async remove(cgroupPath) {
      const removed = await Promise.all(
        hierarchies.map((each) => removeTree(hierarchyPath(each, cgroupPath))),
      );
      return removed.every(Boolean);
    },
    async removeParent(cgroupPath) {
      await Promise.all(hierarchies.map((each) => removeIfEmpty(hierarchyPath(each, cgroupPath))));
    },
    update: (cgroupPath, resources) => update(layout, cgroupPath, resources),
    stats: (cgroupPath) => readCgroupStats(layout, cgroupPath),
  };
}

function rootCpuset(layout: CgroupLayout): { cpus: string; mems: string } | undefined {
  const hierarchy = v1With(layout, "cpuset");
  if (hierarchy === undefined) return undefined;
  const read = (file: string): string =>
    readFileSync(path.join(hierarchy.mountPoint, file), "utf8").trim();
  return { cpus: read("cpuset.cpus"), mems: read("cpuset.mems") };
}

/**
 * Makes each folder down to `cgroupPath`, and sets it up so that its children can be used: also one that is there,
 * since who made it may have been killed before that.
 */
function ensureParents(hierarchy: Hierarchy, layout: CgroupLayout, cgroupPath: string): void {
  let folder = hierarchy.mountPoint;
  enableBelow(hierarchy, layout, folder, cgroupPath !== "/");
  for (const part of cgroupPath.split("/").filter((each) => each !== "")) {
    const parent = folder;
    folder = `${folder}/${part}`;
    makeFolder(folder);
    if (hierarchy.controllers.includes("cpuset")) inheritCpuset(parent, folder);
    enableBelow(hierarchy, layout, folder, true);
  }
}

function makeFolder(folder: string): void {
  // The usual case, without the cost of an exception.
  if (existsSync(folder)) return;
  try {
    mkdirSync(folder);
  } catch (error) {
    if (!hasErrno(error, "EEXIST")) throw error;
  }
}

function inheritCpuset(parent: string, folder: string): void {
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    const own = readFileSync(path.join(folder, file), "utf8").trim();
    if (own === "")
      writeFileSync(path.join(folder, file), readFileSync(path.join(parent, file), "utf8"));
  }
}

/** v2: a controller has to be handed down at every level. One that cannot be is missing below. */
function enableBelow(
  hierarchy: Hierarchy,
  layout: CgroupLayout,
  folder: string,
  wanted: boolean,
): void {
  if (!wanted || hierarchy !== layout.v2) return;
  const file = path.join(folder, "cgroup.subtree_control");
  const enabled = readFileSync(file, "utf8").split(/\s+/);
  const missing = layout.v2Controllers.filter((controller) => !enabled.includes(controller));
  if (missing.length === 0) return;
  if (folder === hierarchy.mountPoint) vacateRoot(folder);
  for (const controller of missing) {
    try {
      writeFileSync(file, `+${controller}`);
    } catch (error) {
      // Busy with processes of its own, or not handed down to us: limits of it are refused later.
      if (!["EBUSY", "ENOENT", "ENOTSUP", "EINVAL", "EACCES"].some((code) => hasErrno(error, code)))
        throw error;
    }
  }
}

async function removeTree(folder: string): Promise<boolean> {
  for (const each of (await subtree(folder)).toReversed()) {
    if (!(await removeFolder(each))) return false;
  }
  return true;
}

async function removeFolder(folder: string): Promise<boolean> {
  for (let attempt = 0; attempt < removeTries; attempt += 1) {
    try {
      await rmdir(folder);
      return true;
    } catch (error) {
      if (isGone(error)) return true;
      if (!hasErrno(error, "EBUSY")) throw error;
    }
    await pause(5);
  }
  return false;
}

async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    if (!isGone(error) && !hasErrno(error, "EBUSY")) throw error;
  }
}

async function update(
  layout: CgroupLayout,
  cgroupPath: string,
  resources: RuntimeResources,
): Promise<void> {
  const problem = limitProblem(resources, layout);
  if (problem !== undefined) throw internal(problem);
  const memory = v1With(layout, "memory");
  const memsw =
    memory === undefined
      ? undefined
      : parseNumber(
          await readText(hierarchyPath(memory, cgroupPath), "memory.memsw.limit_in_bytes"),
        );
  const current = memsw === undefined ? undefined : { memoryAndSwapBytes: memsw };
  for (const limits of compileLimits(resources, layout, current)) {
    const folder = folderOf(layout, limits, cgroupPath);
    for (const write of limits.writes) await applyWrite(folder, write);
  }
}

function folderOf(layout: CgroupLayout, limits: ControllerWrites, cgroupPath: string): string {
  const hierarchy = limits.version === 1 ? v1With(layout, limits.controller) : layout.v2;
  if (hierarchy === undefined) throw internal(`no cgroup hierarchy for ${limits.controller}`);
  return hierarchyPath(hierarchy, cgroupPath);
}

/** Errors: internal in runc's words when the kernel refuses the value, invalid_argument when it has no such file. */
async function applyWrite(
  folder: string,
  { file = "", value = "", optional }: CgroupWrite,
): Promise<void> {
  try {
    const written = await writeText(`${folder}/${file}`, value);
    if (!written && optional !== true)
      throw invalidArgument(`cannot set ${file}: the kernel has no such limit`);
  } catch (error) {
    if (optional === true) return;
    const why = await refusal(folder, file, value, error);
    throw why === undefined ? error : internal(why, { cause: error });
  }
}

async function refusal(
  folder: string,
  file: string,
  value: string,
  error: unknown,
): Promise<string | undefined> {
  const failed = `failed to write "${value}": write ${folder}/${file}`;
  if (hasErrno(error, "EINVAL")) return `${failed}: invalid argument`;
  if (hasErrno(error, "ERANGE")) return `${failed}: numerical result out of range`;
  if (!hasErrno(error, "EBUSY")) return undefined;
  if (file !== "memory.limit_in_bytes") return `${failed}: device or resource busy`;
  const read = async (name: string): Promise<string> =>
    (await readText(folder, name))?.trim() ?? "unknown";
  const usage = await read("memory.usage_in_bytes");
  const peak = await read("memory.max_usage_in_bytes");
  return `unable to set memory limit to ${value} (current usage: ${usage}, peak usage: ${peak})`;
}
