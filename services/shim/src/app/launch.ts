/** Launch: a bundle becomes a plan, the plan a shim process, the process a container. */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Socket } from "node:net";
import path from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { canceled, conflict, hasErrno, hasKind, internal, invalidArgument } from "@gantry/errors";
import { parseRuntimeSpec, type RuntimeSpec } from "@gantry/oci/runtime-spec";
import {
  LaunchPlanSchema,
  type LaunchRequest,
  type LaunchResponse,
  LaunchResponseSchema,
  type Started,
} from "@gantry/proto/shim";
import { cgroupPathOf } from "../compile/cgroup-layout.ts";
import { limitProblem } from "../compile/cgroup-writes.ts";
import { compileLaunchPlan } from "../compile/launch-plan.ts";
import type { LaunchPlanInit } from "../compile/plan-types.ts";
import type { SeccompProgram, StartedProcess } from "../ports.ts";
import { limitRefused, toLaunchError } from "../process-error.ts";
import {
  type Brain,
  type Container,
  type ContainerState,
  containerOf,
  type Run,
  releaseBacklog,
} from "./container.ts";
import { answerTimeoutMs, keepConnected, openInit } from "./link.ts";
import { prepareForLaunch } from "./prepare.ts";
import {
  cleanUpKilled,
  finish,
  handleEvent,
  killedExit,
  putAway,
  recordOfRun,
  watchShim,
} from "./run-end.ts";

const controlBacklog = 16;
const nonceBytes = 16;
const sigkill = 9;
/** A process whose start failed has only to take away what it made. */
const failedStartGraceMs = 5_000;

/** Milliseconds of each phase, for the log. */
class Phases {
  readonly #start = performance.now();
  #last = this.#start;
  readonly #phases: Record<string, number> = {};

  mark(name: string): void {
    const now = performance.now();
    this.#phases[name] = Math.round((now - this.#last) * 1000) / 1000;
    this.#last = now;
  }

  fields(): Record<string, number> {
    return { ...this.#phases, totalMs: Math.round((this.#last - this.#start) * 1000) / 1000 };
  }
}

export async function launch(
  brain: Brain,
  request: LaunchRequest,
  signal: AbortSignal | undefined,
): Promise<LaunchResponse> {
  const container = containerOf(brain, request.id);
  return await container.serialize(async () => {
    if (container.state.status === "running")
      throw conflict(`container ${request.id} is already running`);
    const prepared = await prepareForLaunch(brain, container);
    const launching = { status: "launching" as const, run: undefined };
    container.state = launching;
    const closeListener = (): void => {
      brain.kernel.closeFd(prepared.listener);
    };
    try {
      return await start(brain, container, { request, prepared, launching, signal });
    } catch (error) {
      container.state = { status: "idle" };
      throw error;
    } finally {
      // On success the process has its own; after a failure waiting clients see the end.
      closeListener();
    }
  });
}

interface Attempt {
  readonly request: LaunchRequest;
  readonly prepared: Extract<ContainerState, { status: "prepared" }>;
  readonly launching: Extract<ContainerState, { status: "launching" }>;
  readonly signal: AbortSignal | undefined;
}

async function start(
  brain: Brain,
  container: Container,
  attempt: Attempt,
): Promise<LaunchResponse> {
  const phases = new Phases();
  const [spec] = await Promise.all([
    readBundle(attempt.request.bundlePath),
    brain.exitRecords.reserve(attempt.request.exitRecordPath),
  ]);
  phases.mark("readMs");
  const profile = spec.linux?.seccomp;
  const seccomp = profile === undefined ? undefined : await brain.seccomp.compile(profile);
  phases.mark("seccompMs");
  const nonce = attempt.request.nonce.length > 0 ? attempt.request.nonce : randomBytes(nonceBytes);
  const plan = compilePlan(brain, spec, attempt, seccomp, nonce);
  phases.mark("compileMs");
  const cgroupPath = cgroupPathOf(spec.linux?.cgroupsPath, brain.cgroupParent, container.id);
  brain.cgroups.ensureParent(cgroupPath);
  phases.mark("cgroupMs");
  if (attempt.signal?.aborted === true) throw canceled("launch was canceled");
  brain.step("prepared", 0);
  const spawned = spawnShim(brain, container, plan, attempt.prepared.listener);
  phases.mark("spawnMs");
  brain.step("spawned", spawned.pid);
  const run = openRun(brain, container, { ...attempt, cgroupPath, nonce, seccomp, spawned });
  brain.step("recorded", spawned.pid);
  attempt.launching.run = run;
  const started = await awaitStart(brain, container, run, spawned.socket, attempt.signal);
  phases.mark("startMs");
  brain.step("started", spawned.pid);
  brain.logger.debug({ container: container.id, ...phases.fields() }, "launched");
  return running(brain, container, run, started);
}

async function readBundle(bundlePath: string): Promise<RuntimeSpec> {
  const file = path.join(bundlePath, "config.json");
  try {
    return parseRuntimeSpec(await readFile(file, "utf8"));
  } catch (error) {
    if (hasErrno(error, "ENOENT"))
      throw invalidArgument(`bundle ${bundlePath} has no config.json`, { cause: error });
    throw error;
  }
}

function compilePlan(
  brain: Brain,
  spec: RuntimeSpec,
  attempt: Attempt,
  seccomp: SeccompProgram | undefined,
  nonce: Uint8Array,
): LaunchPlanInit {
  const problem = limitProblem(spec.linux?.resources ?? {}, brain.cgroups.layout);
  if (problem !== undefined) throw limitRefused(problem);
  return compileLaunchPlan(spec, attempt.request, {
    layout: brain.cgroups.layout,
    cgroupParent: brain.cgroupParent,
    parentCpuset: brain.cgroups.parentCpuset(),
    capabilityBound: brain.machine.capabilityBound,
    seccomp,
    nonce,
    natsUrlPath: brain.natsUrlPath,
    tickets: attempt.prepared.tickets,
  });
}

interface Spawned {
  readonly pid: number;
  readonly pidfd: number;
  /** Our end of the first control connection. */
  readonly socket: Socket;
}

/** Starts the shim process with the descriptors that process.proto names. */
function spawnShim(
  brain: Brain,
  container: Container,
  plan: LaunchPlanInit,
  listener: number,
): Spawned {
  const { kernel } = brain;
  using opened = new DisposableStack();
  const own = (fd: number): number =>
    opened.adopt(fd, (each) => {
      kernel.closeFd(each);
    });
  const bytes = toBinary(LaunchPlanSchema, create(LaunchPlanSchema, plan));
  const planFd = own(kernel.memfd("gantry-plan", bytes, true));
  const control = own(kernel.listenUnix(container.folder.controlSocket, 0o600, controlBacklog));
  const [ours, theirs] = kernel.socketpair();
  own(theirs);
  const socket = new Socket({ fd: ours, readable: true, writable: true });
  try {
    const launched = kernel.launch({
      executable: brain.program(),
      argv: ["gantry-shim", container.id],
      env: [],
      fds: [
        [3, planFd],
        [4, control],
        [5, listener],
        [6, theirs],
      ],
      cwd: "/",
    });
    return { ...launched, socket };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

interface NewRun extends Attempt {
  readonly cgroupPath: string;
  readonly nonce: Uint8Array;
  readonly seccomp: SeccompProgram | undefined;
  readonly spawned: Spawned;
}

function openRun(brain: Brain, container: Container, from: NewRun): Run {
  const { pid, pidfd } = from.spawned;
  const run: Run = {
    record: {
      shimPid: pid,
      shimStartTicks: String(brain.kernel.processStartTicks(pid) ?? 0n),
      bootId: brain.machine.bootId,
      nonce: Buffer.from(from.nonce).toString("hex"),
      cgroupPath: from.cgroupPath,
      bundlePath: from.request.bundlePath,
      exitRecordPath: from.request.exitRecordPath,
      hostLinks: from.request.interfaces.map((each) => each.hostName).filter((name) => name !== ""),
    },
    shim: brain.processes.watch(pid, pidfd),
    init: undefined,
    link: undefined,
    connected: Promise.withResolvers(),
    launched: undefined,
    execs: new Set(),
    exited: Promise.withResolvers(),
    hasExited: false,
    shimEnded: Promise.withResolvers(),
    backlog: [],
    seccomp: from.seccomp,
  };
  container.folder.writeRecord(run.record);
  return run;
}

/**
 * Lets the process begin and waits for the one or the other outcome. A run that was begun is one,
 * however it went on: its end comes after it. After a failure nothing is left of the run.
 */
async function awaitStart(
  brain: Brain,
  container: Container,
  run: Run,
  socket: Socket,
  signal: AbortSignal | undefined,
): Promise<StartedProcess> {
  const outcome = Promise.withResolvers<StartedProcess>();
  run.link = brain.openLink({
    socket,
    answerTimeoutMs,
    onEvent: (message) => {
      if (message.case === "started") outcome.resolve(startedOf(message.value));
      else if (message.case === "startFailed") outcome.reject(toLaunchError(message.value));
      else handleEvent(brain, container, run, message);
    },
  });
  // Nothing happens here when the outcome was told before.
  void run.link.ended.then(() => {
    outcome.reject(internal("shim process ended before the container was started"));
  });
  // It goes on by itself, like one whose brain was killed: the program may have begun.
  const leave = (): void => {
    outcome.reject(canceled("launch was canceled"));
  };
  signal?.addEventListener("abort", leave, { once: true });
  run.link.begin();
  brain.step("released", run.record.shimPid);
  try {
    return await outcome.promise;
  } catch (error) {
    if (hasKind(error, "canceled")) putAway(run);
    else return await untold(brain, container, run, error);
    throw error;
  } finally {
    signal?.removeEventListener("abort", leave);
  }
}

function startedOf({ pid, pidStartTicks, timeNano }: Started): StartedProcess {
  return { pid, pidStartTicks, startedAtNano: timeNano };
}

/**
 * Sees a launch to its end that did not tell of a start: the process puts away what it made and ends,
 * or is killed. Gives the start that its record tells of, throws the error when there was none.
 */
async function untold(
  brain: Brain,
  container: Container,
  run: Run,
  error: unknown,
): Promise<StartedProcess> {
  const stuck = setTimeout(() => {
    run.shim.signal(sigkill);
  }, failedStartGraceMs);
  await run.shim.ended;
  clearTimeout(stuck);
  await cleanUpKilled(brain, run);
  const record = await recordOfRun(brain, run);
  if (record === undefined) {
    putAway(run);
    throw error;
  }
  finish(brain, container, run, record.exited ?? killedExit());
  return record.started;
}

function running(
  brain: Brain,
  container: Container,
  run: Run,
  started: StartedProcess,
): LaunchResponse {
  const launched = create(LaunchResponseSchema, {
    pid: started.pid,
    pidStartTicks: started.pidStartTicks,
    shimPid: run.record.shimPid,
    shimStartTicks: BigInt(run.record.shimStartTicks),
    nonce: Buffer.from(run.record.nonce, "hex"),
    startedAtNano: started.startedAtNano,
  });
  run.launched = launched;
  if (!run.hasExited) run.init = openInit(brain, started);
  container.state = run.hasExited ? { status: "ended", run } : { status: "running", run };
  watchShim(brain, container, run);
  keepConnected(brain, container, run);
  // The caller hears of the start first, then of whatever came after it.
  setImmediate(releaseBacklog, brain, container.id, run);
  return launched;
}
