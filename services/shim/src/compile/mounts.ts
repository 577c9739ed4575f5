/** Mounts of the bundle, in order. */
import { invalidArgument } from "@gantry/errors";
import type { RuntimeMount } from "@gantry/oci/runtime-spec";
import { type CgroupLayout, hierarchyPath } from "./cgroup-layout.ts";
import { ms, parseMountOptions } from "./mount-options.ts";
import type { MountPlan } from "./plan-types.ts";

/** What mounts depend on besides the bundle. */
export interface MountContext {
  readonly layout: CgroupLayout;
  /** The container's cgroup below each hierarchy's root, `/gantry/<id>`. */
  readonly cgroupPath: string;
  /** Whether the container gets a cgroup namespace of its own. */
  readonly cgroupNamespace: boolean;
}

/** Mounts, and paths that have to be made read-only once everything is mounted. */
export interface CompiledMounts {
  readonly mounts: MountPlan[];
  readonly readonlyPaths: string[];
}

export function compileMounts(
  mounts: readonly RuntimeMount[] = [],
  context: MountContext,
): CompiledMounts {
  const result: CompiledMounts = { mounts: [], readonlyPaths: [] };
  for (const mount of mounts) {
    const plan = compileMount(mount);
    if (mount.type !== "cgroup") {
      result.mounts.push(plan);
      continue;
    }
    result.mounts.push(...expandCgroup(plan, context));
    // Its folders are made after the tmpfs is mounted, so that can only become read-only at the end.
    if (isV1(context.layout) && ((plan.flags ?? 0n) & ms.rdonly) !== 0n) {
      result.readonlyPaths.push(mount.destination);
    }
  }
  return result;
}

function compileMount(mount: RuntimeMount): MountPlan {
  if (!mount.destination.startsWith("/")) {
    throw invalidArgument(`mount destination ${mount.destination} must be absolute`);
  }
  const options = parseMountOptions(mount.options);
  const isBind = mount.type === "bind" || (options.flags & ms.bind) !== 0n;
  const source = mount.source ?? "";
  if (isBind && !source.startsWith("/")) {
    throw invalidArgument(`mount source ${source} must be absolute`);
  }
  const type = isBind ? "bind" : (mount.type ?? "");
  if (type === "") throw invalidArgument(`mount at ${mount.destination} has no type`);
  return {
    destination: mount.destination,
    type,
    source,
    ...options,
    flags: isBind ? options.flags | ms.bind : options.flags,
  };
}

function isV1(layout: CgroupLayout): boolean {
  return layout.v1.length > 0;
}

/** The type `cgroup` stands for whatever hierarchies the machine has. */
function expandCgroup(plan: MountPlan, context: MountContext): MountPlan[] {
  if (!isV1(context.layout)) return [{ ...plan, type: "cgroup2", source: "cgroup" }];
  const flags = ms.nosuid | ms.nodev | ms.noexec;
  const top: MountPlan = {
    destination: plan.destination ?? "",
    type: "tmpfs",
    source: "tmpfs",
    flags,
    data: "mode=755",
  };
  return [top, ...hierarchyMounts(plan, context, flags)];
}

function hierarchyMounts(plan: MountPlan, context: MountContext, flags: bigint): MountPlan[] {
  const { layout, cgroupPath, cgroupNamespace } = context;
  const readonly = (plan.flags ?? 0n) & ms.rdonly;
  const below = (name: string): string => `${plan.destination ?? ""}/${name}`;
  const hierarchies = layout.v2 === undefined ? layout.v1 : [...layout.v1, layout.v2];
  return hierarchies.map((hierarchy) => {
    const destination = below(hierarchy.folder);
    if (!cgroupNamespace) {
      const source = hierarchyPath(hierarchy, cgroupPath);
      return { destination, type: "bind", source, flags: flags | readonly | ms.bind | ms.rec };
    }
    const type = hierarchy === layout.v2 ? "cgroup2" : "cgroup";
    return {
      destination,
      type,
      source: "cgroup",
      flags: flags | readonly,
      data: hierarchy.options,
    };
  });
}
