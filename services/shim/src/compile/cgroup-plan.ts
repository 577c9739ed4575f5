/** The cgroup of a container: directories, writes in order, and where its processes go. */
import { internal } from "@gantry/errors";
import type { RuntimeResources } from "@gantry/oci/runtime-spec";
import { type CgroupLayout, hierarchyPath, v1With } from "./cgroup-layout.ts";
import { type ControllerWrites, compileLimits } from "./cgroup-writes.ts";
import { compileDeviceProgram } from "./device-program.ts";
import { compileDevicePolicy, type DevicePolicy, devicePolicyWrites } from "./devices.ts";
import type { CgroupDir, CgroupPlan, CgroupWrite } from "./plan-types.ts";

/** What the plan depends on besides the limits. */
export interface CgroupContext {
  readonly layout: CgroupLayout;
  /** `/gantry/<id>`. */
  readonly path: string;
  /** CPUs and memory nodes of the parent in v1's cpuset, which a new directory does not inherit. */
  readonly parentCpuset: { readonly cpus: string; readonly mems: string } | undefined;
}

/** Errors: internal (a limit, or the rules for devices, cannot be kept here). */
export function compileCgroup(
  resources: RuntimeResources | undefined,
  context: CgroupContext,
): CgroupPlan {
  const { layout, path } = context;
  const limits = compileLimits(resources ?? {}, layout);
  const policy = compileDevicePolicy(resources?.devices);
  checkDevices(layout, policy);
  const dirs = layout.v1.map((hierarchy): CgroupDir => {
    const writes = hierarchy.controllers.flatMap((controller) =>
      v1Writes(controller, limits, policy, context),
    );
    return { path: hierarchyPath(hierarchy, path), writes, attach: true, remove: true };
  });
  if (layout.v2 !== undefined) dirs.push(v2Dir(layout.v2.mountPoint + path, limits));
  const memory = v1With(layout, "memory");
  const v2Path = layout.v2 === undefined ? "" : hierarchyPath(layout.v2, path);
  return {
    dirs,
    v2Dir: v2Path,
    deviceProgram: needsDeviceProgram(layout, policy)
      ? compileDeviceProgram(policy)
      : new Uint8Array(),
    oomDir: memory === undefined ? "" : hierarchyPath(memory, path),
  };
}

function v1Writes(
  controller: string,
  limits: readonly ControllerWrites[],
  policy: DevicePolicy,
  context: CgroupContext,
): CgroupWrite[] {
  const own = limits
    .filter((each) => each.version === 1 && each.controller === controller)
    .flatMap((each) => each.writes);
  if (controller === "devices") return devicePolicyWrites(policy);
  return controller === "cpuset" ? [...inheritedCpuset(own, context), ...own] : own;
}

/** A v1 cpuset without CPUs or memory takes no process. */
function inheritedCpuset(own: readonly CgroupWrite[], context: CgroupContext): CgroupWrite[] {
  if (context.parentCpuset === undefined) return [];
  const { cpus, mems } = context.parentCpuset;
  const inherited = [
    { file: "cpuset.cpus", value: cpus },
    { file: "cpuset.mems", value: mems },
  ];
  return inherited.filter(({ file }) => !own.some((each) => each.file === file));
}

/** Processes are cloned into the v2 directory, so nothing has to be attached. */
function v2Dir(path: string, limits: readonly ControllerWrites[]): CgroupDir {
  const writes = limits.filter((each) => each.version === 2).flatMap((each) => each.writes);
  return { path, writes, attach: false, remove: true };
}

/** Where v1 has the devices controller, its rules do the work; a program that allows all does none. */
function needsDeviceProgram(layout: CgroupLayout, policy: DevicePolicy): boolean {
  if (layout.v2 === undefined || v1With(layout, "devices") !== undefined) return false;
  return isRestricting(policy);
}

/** Root in a container may make the node of any device: without rules the host's disks would be open to it. */
function checkDevices(layout: CgroupLayout, policy: DevicePolicy): void {
  if (layout.v2 !== undefined || v1With(layout, "devices") !== undefined) return;
  if (isRestricting(policy)) throw internal("Devices cgroup isn't mounted");
}

function isRestricting({ allowByDefault, rules }: DevicePolicy): boolean {
  return !allowByDefault || rules.length > 0;
}
