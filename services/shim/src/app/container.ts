/** What the brain knows of containers, and the tools that its use cases share. */
import { create } from "@bufbuild/protobuf";
import { conflict, deadlineExceeded, type EngineError, hasKind } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import type { Kernel } from "@gantry/native";
import {
  type Exited,
  type LaunchResponse,
  type ShimMessage,
  ShimMessageSchema,
  type StreamTicket,
  WatchResponseSchema,
} from "@gantry/proto/shim";
import type { LaunchStep } from "../options.ts";
import type {
  Cgroups,
  ExitRecords,
  LinkOptions,
  Machine,
  Processes,
  ProcessHandle,
  ProcessLink,
  RunFolder,
  RunRecord,
  SeccompCompiler,
  SeccompProgram,
  ShimRequestBody,
  WatchedProcess,
} from "../ports.ts";
import type { EventHub } from "./events.ts";

/** The brain's tools and memory. */
export interface Brain {
  readonly kernel: Kernel;
  readonly machine: Machine;
  readonly cgroups: Cgroups;
  readonly seccomp: SeccompCompiler;
  readonly processes: Processes;
  readonly exitRecords: ExitRecords;
  readonly openLink: (options: LinkOptions) => ProcessLink;
  /** Throws invalid_argument for an ID that could lead elsewhere. */
  readonly runFolder: (id: string) => RunFolder;
  readonly logger: Logger;
  readonly events: EventHub;
  readonly containers: Map<string, Container>;
  readonly cgroupParent: string;
  readonly natsUrlPath: string;
  /** Hears of each step of a launch. */
  readonly step: (step: LaunchStep, shimPid: number) => void;
  /** Descriptor of the sealed shim program, made at the first launch. */
  program(): number;
}

/** A shim process and the container's first process under it. */
export interface Run {
  readonly record: RunRecord;
  readonly shim: WatchedProcess;
  /** The first process while it runs. */
  init: ProcessHandle | undefined;
  link: ProcessLink | undefined;
  /** Resolves when there is a link. */
  connected: PromiseWithResolvers<void>;
  launched: LaunchResponse | undefined;
  /** Execs that have been started and not ended. */
  readonly execs: Set<string>;
  /** How the first process ended, once it is known. Told exactly once. */
  readonly exited: PromiseWithResolvers<Exited>;
  hasExited: boolean;
  /** Resolves when the shim process is gone and everything of this run is put away. */
  readonly shimEnded: PromiseWithResolvers<void>;
  /** Events that came before the caller of Launch had its answer; undefined from then on. */
  backlog: ShimMessage["message"][] | undefined;
  /** Of the container's profile; compiled at the first need after an adoption. */
  seccomp: SeccompProgram | undefined;
}

/**
 * The states of a container here:
 *
 *   idle → prepared → launching → running → ended → prepared …
 *
 * `idle`: nothing is held. `prepared`: io.sock is listened on, tickets wait for the launch.
 * `launching`: a shim process may exist; `run` as soon as it does. `ended`: the first process's
 * end was told, the shim process may still be finishing.
 */
export type ContainerState =
  | { readonly status: "idle" }
  | { readonly status: "prepared"; readonly listener: number; readonly tickets: StreamTicket[] }
  | { readonly status: "launching"; run: Run | undefined }
  | { readonly status: "running"; readonly run: Run }
  | { readonly status: "ended"; readonly run: Run };

export interface Container {
  readonly id: string;
  readonly folder: RunFolder;
  state: ContainerState;
  /** Runs one after the other what changes the state by asking for it: prepare, launch, adopt, delete. */
  serialize<T>(act: () => Promise<T>): Promise<T>;
}

/** The container of an ID, made known when it was not. */
export function containerOf(brain: Brain, id: string): Container {
  const known = brain.containers.get(id);
  if (known !== undefined) return known;
  const folder = brain.runFolder(id);
  let last: Promise<unknown> = Promise.resolve();
  const container: Container = {
    id,
    folder,
    state: { status: "idle" },
    serialize: (act) => {
      const next = last.then(act);
      // The queue goes on after a failure, which is the caller's to hear of.
      last = next.catch(() => undefined);
      return next;
    },
  };
  brain.containers.set(id, container);
  return container;
}

/** Docker's words for what needs a run, where there is none or it is just ending. */
export function notRunning(id: string, cause?: unknown): EngineError {
  return conflict(`container ${id} is not running`, { cause });
}

/** The run of a container that runs; throws Docker's conflict otherwise. */
export function runningRun(brain: Brain, id: string): Run {
  const state = brain.containers.get(id)?.state;
  if (state?.status !== "running") throw notRunning(id);
  return state.run;
}

/** The run that there is in any state, also one that has ended. */
export function anyRun(container: Container): Run | undefined {
  return "run" in container.state ? container.state.run : undefined;
}

/** An adopted process that was too busy to answer is waited for as long as one that is asked something. */
const connectTimeoutMs = 10_000;

/** The run's connection. Throws deadline_exceeded when there is none in time, conflict when it is over. */
async function linkOf(run: Run, id: string): Promise<ProcessLink> {
  if (run.link !== undefined) return run.link;
  const late = Promise.withResolvers<"late">();
  const timer = setTimeout(late.resolve, connectTimeoutMs, "late");
  const first = await Promise.race([run.connected.promise, run.shimEnded.promise, late.promise]);
  clearTimeout(timer);
  if (run.link !== undefined) return run.link;
  if (first === "late") throw deadlineExceeded(`shim process of container ${id} does not answer`);
  throw notRunning(id);
}

/**
 * Asks the run's process. Throws what it answers; conflict when the run is over, or ends before the
 * answer; unavailable when the connection was lost and the process lives on: it may have done it.
 */
export async function askRun(
  run: Run,
  id: string,
  request: ShimRequestBody,
): Promise<ShimMessage["message"]> {
  const link = await linkOf(run, id);
  try {
    return await link.ask(request);
  } catch (error) {
    // Of the first process it knows the end before we do.
    if (hasKind(error, "conflict")) throw notRunning(id, error);
    if (!hasKind(error, "unavailable")) throw error;
    await link.ended;
    if (run.hasExited) throw notRunning(id, error);
    // Whichever comes first: a new connection, or the end of the process.
    await linkOf(run, id);
    throw error;
  }
}

/** Tells all readers, but not before the caller of Launch has its answer. */
export function publish(brain: Brain, id: string, run: Run, message: ShimMessage["message"]): void {
  if (run.backlog !== undefined) {
    run.backlog.push(message);
    return;
  }
  const event = create(ShimMessageSchema, { message });
  brain.events.publish(create(WatchResponseSchema, { id, event }));
}

/** Lets the events out that waited for the answer of Launch. */
export function releaseBacklog(brain: Brain, id: string, run: Run): void {
  const messages = run.backlog ?? [];
  run.backlog = undefined;
  for (const message of messages) publish(brain, id, run, message);
}

/** The cgroup of a container in whatever state, as far as anything tells. */
export function cgroupOf(brain: Brain, container: Container): string {
  const record = anyRun(container)?.record ?? container.folder.readRecord();
  return record?.cgroupPath ?? `/${brain.cgroupParent}/${container.id}`;
}
