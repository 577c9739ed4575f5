/** Mounts of a container as the runtime-spec writes them. */
import { internal } from "@gantry/errors";
import type { MountRecord } from "./records.ts";
import { tmpfsOptions } from "./tmpfs-options.ts";

/** A mount of the runtime-spec. */
export interface OciMountPlan {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: string[];
}

/** Read-only recursively where the kernel can: an option of our own shim. */
const readOnlyIfPossible = "x-gantry.rro-if-possible";
/** A path below the source, resolved inside it: an option of our own shim. */
export const subpathOption = "x-gantry.subpath=";

/** `source`: the host directory or file behind the mount; not used for a tmpfs. Errors: internal (its options). */
export function ociMount(mount: MountRecord, source: string): OciMountPlan {
  if (mount.type === "tmpfs") {
    return {
      destination: mount.destination,
      type: "tmpfs",
      source: "tmpfs",
      // Of several words about propagation the last one holds.
      options: ["rprivate", ...tmpfsOptions(mount.tmpfsOptions, internal)],
    };
  }
  const options = [mount.nonRecursive ? "bind" : "rbind", propagationOf(mount)];
  if (!mount.rw) options.push(...readOnlyOptions(mount));
  if (mount.subpath !== "") options.push(`${subpathOption}${mount.subpath}`);
  return { destination: mount.destination, type: "bind", source, options };
}

/** What is mounted later below a volume's directory comes into the container, where the host's mount passes it on. */
function propagationOf(mount: MountRecord): string {
  if (mount.propagation !== "") return mount.propagation;
  return mount.type === "volume" ? "rslave" : "rprivate";
}

function readOnlyOptions(mount: MountRecord): string[] {
  switch (mount.readOnly) {
    case "deep":
      return ["ro", "rro"];
    case "deep-if-possible":
      return ["ro", readOnlyIfPossible];
    case "shallow":
      return ["ro"];
  }
}

/** A mount may lie inside another one: the outer ones first. Those at one place stay in their order. */
export function byDepth(one: { destination: string }, other: { destination: string }): number {
  if (one.destination === other.destination) return 0;
  return (
    depth(one.destination) - depth(other.destination) ||
    (one.destination < other.destination ? -1 : 1)
  );
}

function depth(destination: string): number {
  return destination.split("/").length;
}

/** Propagation that the root file system needs for these mounts: `rshared`, `rslave` or empty. */
export function rootPropagation(mounts: readonly MountRecord[]): string {
  const words = mounts.map(propagationOf);
  if (words.some((word) => word === "shared" || word === "rshared")) return "rshared";
  return words.some((word) => word === "slave" || word === "rslave") ? "rslave" : "";
}
