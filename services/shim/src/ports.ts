/** What the brain's use cases need of the world. */
import type { Socket } from "node:net";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { RuntimeResources, RuntimeSeccomp } from "@gantry/oci/runtime-spec";
import type {
  BlkioEntry,
  Exited,
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
  /** Lets a process begin that waits for it (LaunchPlan.await_begin). */
  begin(): void;
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
  /**
   * Makes the next entry of a process into a v1 cgroup quick, when it comes within some milliseconds.
   * Returns at once.
   */
  expectEntry(): void;
  /** Host PIDs in it and below; empty when it does not exist. */
  pids(path: string): Promise<number[]>;
  /**
   * Resolves when every task is frozen. Throws deadline_exceeded (and thaws) when one cannot be, not_found when the
   * cgroup does not exist.
   */
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

/** Facts about this machine that do not change while we run. */
export interface Machine {
  readonly layout: CgroupLayout;
  readonly bootId: string;
  /** Capabilities that this process may pass on (CapBnd and CapPrm). */
  readonly capabilityBound: bigint;
}

/** A process that is held by its pidfd: whatever happens to its number, a signal reaches it or nobody. */
export interface ProcessHandle {
  readonly pid: number;
  /** Whether it was there to get the signal. Throws invalid_argument's errno EINVAL for a number that is none. */
  signal(signal: number): boolean;
  /** Lets go of it; signals reach nobody afterwards. */
  close(): void;
}

/** A handle that also tells when the process ends. */
export interface WatchedProcess extends ProcessHandle {
  /** Resolves when the process has ended (and was reaped, if it is our child); never after `close`. */
  readonly ended: Promise<void>;
}

/** Processes of this machine. */
export interface Processes {
  /** Takes over a pidfd. */
  hold(pid: number, pidfd: number): ProcessHandle;
  /** Takes over a pidfd and watches it. */
  watch(pid: number, pidfd: number): WatchedProcess;
  /** The pidfd of exactly this process, or undefined when it is gone. */
  open(pid: number, startTicks: bigint): number | undefined;
}

/** The first process of a run, from right before it becomes the program. */
export interface StartedProcess {
  readonly pid: number;
  readonly pidStartTicks: bigint;
  /** Nanoseconds since the epoch. */
  readonly startedAtNano: bigint;
}

/** What a shim process wrote about its container: that the program has begun, then how it ended. */
export interface ExitRecord {
  /** Hex; tells launches of one container apart. */
  readonly nonce: string;
  readonly started: StartedProcess;
  /** Undefined: it runs, or its shim process was killed. */
  readonly exited: Exited | undefined;
}

/** The records that shim processes write before they tell anybody. An empty path has none. */
export interface ExitRecords {
  /** Undefined when there is none, or none that can be read: then no program has begun since it was reserved. */
  read(path: string): Promise<ExitRecord | undefined>;
  /**
   * Puts a blank record in the place of an earlier launch's, so that the process has only to fill a
   * block that is on disk already. Resolves when the blank is there; making it durable goes on.
   */
  reserve(path: string): Promise<void>;
}

/** What a later brain needs to find a shim process, or to clean up after it. */
export interface RunRecord {
  readonly shimPid: number;
  /** Decimal. */
  readonly shimStartTicks: string;
  readonly bootId: string;
  /** Hex. */
  readonly nonce: string;
  /** Below each hierarchy's root. */
  readonly cgroupPath: string;
  readonly bundlePath: string;
  readonly exitRecordPath: string;
  /** Names of links on the host that this launch makes. */
  readonly hostLinks: readonly string[];
}

/** Paths of one container. */
export interface RunFolder {
  readonly path: string;
  readonly ioSocket: string;
  readonly controlSocket: string;
  /** Whether the control socket is there, be its process alive or not. */
  hasControlSocket(): boolean;
  /** Makes the folder. */
  create(): void;
  writeRecord(record: RunRecord): void;
  /** Undefined when nothing was launched, or not to the end of writing. */
  readRecord(): RunRecord | undefined;
  /** Removes the folder and everything in it. */
  remove(): void;
}

/** How to speak to a shim process. */
export interface LinkOptions {
  /** Connected; owned by the link from here on. */
  readonly socket: Socket;
  /** How long an answer may take before `ask` throws deadline_exceeded. */
  readonly answerTimeoutMs: number;
  /** Every event, in order. */
  readonly onEvent: (message: ShimMessage["message"]) => void;
}
