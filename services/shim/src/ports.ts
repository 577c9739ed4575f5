/** What the brain's use cases need of the world. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { RuntimeResources, RuntimeSeccomp } from "@gantry/oci/runtime-spec";
import type {
  BlkioEntry,
  GetStatsResponseSchema,
  ShimMessage,
  ShimRequestSchema,
} from "@gantry/proto/shim";
import type { CgroupLayout } from "./compile/cgroup-layout.ts";

/** A compiled seccomp program. */
export interface SeccompProgram {
  readonly program: Uint8Array;
  /** Flags of seccomp(2). */
  readonly flags: number;
}

/** Compiles seccomp profiles; the same profile is compiled once per machine. */
export interface SeccompCompiler {
  /** Throws invalid_argument for a profile with unknown words. */
  compile(profile: RuntimeSeccomp): Promise<SeccompProgram>;
}

/** One request to a shim process. */
export type ShimRequestBody = NonNullable<
  Exclude<MessageInitShape<typeof ShimRequestSchema>, { $typeName: string }>["request"]
>;

/** A control connection to one shim process. */
export interface ProcessLink {
  /**
   * Asks and waits for the answer, which is never an `error`: that is thrown as the EngineError it
   * stands for. Throws deadline_exceeded when the process does not answer in time (it may be
   * frozen), unavailable when the connection is or gets lost.
   */
  ask(request: ShimRequestBody): Promise<ShimMessage["message"]>;
  /** Resolves when the connection has ended and every message of it was given out. */
  readonly ended: Promise<void>;
  /** Ends the connection. */
  close(): void;
}

/** Raw counters of a cgroup. */
export type CgroupStats = Omit<
  Exclude<MessageInitShape<typeof GetStatsResponseSchema>, { $typeName: string }>,
  "$typeName" | "interfaces" | "systemCpuNs" | "onlineCpus" | "readAtNano" | "blkio"
> & { blkio: Omit<BlkioEntry, "$typeName">[] };

/** The cgroups of containers; `path` is below each hierarchy's root, `/gantry/<id>`. */
export interface Cgroups {
  readonly layout: CgroupLayout;
  /** CPUs and memory nodes that a new v1 cpuset below `path` starts with; undefined without v1 cpuset. */
  parentCpuset(): { readonly cpus: string; readonly mems: string } | undefined;
  /** Makes the folders above a container's cgroup in every hierarchy, usable by it. */
  ensureParent(path: string): void;
  /** Host PIDs in it and below; empty when it does not exist. */
  pids(path: string): Promise<number[]>;
  /** Resolves when every task is frozen. Throws deadline_exceeded (and thaws) when one cannot be. */
  freeze(path: string): Promise<void>;
  thaw(path: string): Promise<void>;
  isFrozen(path: string): Promise<boolean>;
  /** Kills everything in it, frozen or not; waits up to `deadlineMs` and returns what is left. */
  kill(path: string, deadlineMs: number): Promise<number[]>;
  /** Removes it from every hierarchy, with what was made below it. Waits a little for dying tasks; false when some is left. */
  remove(path: string): Promise<boolean>;
  /** Removes a folder that only held containers, unless it still does. */
  removeParent(path: string): Promise<void>;
  /** Writes limits to the live cgroup. Throws invalid_argument where the kernel refuses a value. */
  update(path: string, resources: RuntimeResources): Promise<void>;
  /** Throws not_found when it does not exist. */
  stats(path: string): Promise<CgroupStats>;
}
