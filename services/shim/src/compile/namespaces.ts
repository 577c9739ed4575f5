/** Namespaces, and what must not be asked for without them. */
import { invalidArgument } from "@gantry/errors";
import type { RuntimeIdMapping, RuntimeNamespace } from "@gantry/oci/runtime-spec";
import type { NamespacePlan } from "./plan-types.ts";

const cloneFlags: Readonly<Record<RuntimeNamespace["type"], bigint>> = {
  time: 0x0000_0080n,
  mount: 0x0002_0000n,
  cgroup: 0x0200_0000n,
  uts: 0x0400_0000n,
  ipc: 0x0800_0000n,
  user: 0x1000_0000n,
  pid: 0x2000_0000n,
  network: 0x4000_0000n,
};

export function compileNamespaces(namespaces: readonly RuntimeNamespace[] = []): NamespacePlan[] {
  const seen = new Set<string>();
  return namespaces.map(({ type, path }) => {
    if (seen.has(type)) throw invalidArgument(`namespace ${type} is given twice`);
    seen.add(type);
    if (path !== undefined && !path.startsWith("/")) {
      throw invalidArgument(`namespace path ${path} must be absolute`);
    }
    return { cloneFlag: cloneFlags[type], path: path ?? "" };
  });
}

/** Whether a new namespace of this type is made. */
export function makesNamespace(
  namespaces: readonly RuntimeNamespace[] | undefined,
  type: RuntimeNamespace["type"],
): boolean {
  return namespaces?.some((each) => each.type === type && (each.path ?? "") === "") ?? false;
}

/** Whether the container has a namespace of this type that is not the host's (new or joined). */
export function hasNamespace(
  namespaces: readonly RuntimeNamespace[] | undefined,
  type: RuntimeNamespace["type"],
): boolean {
  return namespaces?.some((each) => each.type === type) ?? false;
}

/** Lines of /proc/<pid>/uid_map or gid_map. */
export function compileIdMap(mappings: readonly RuntimeIdMapping[] = []): string {
  return mappings
    .map(
      ({ containerID, hostID, size }) =>
        `${String(containerID)} ${String(hostID)} ${String(size)}\n`,
    )
    .join("");
}
