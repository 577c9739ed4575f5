/**
 * Adopt: takes over a shim process that an earlier brain started, or finds out how it ended.
 *
 * Who the process is, is proved thrice: by its start time (a pid may be somebody else's by now), by
 * the boot ID, and by the nonce of its plan.
 */
import { connect, type Socket } from "node:net";
import { create } from "@bufbuild/protobuf";
import { hasKind } from "@gantry/errors";
import {
  type AdoptRequest,
  type AdoptResponse,
  AdoptResponseSchema,
  type Exited,
  ExitedSchema,
  type HelloReply,
  LaunchResponseSchema,
} from "@gantry/proto/shim";
import { protocolVersion } from "../compile/launch-plan.ts";
import type { ProcessLink, RunRecord } from "../ports.ts";
import { type Brain, type Container, containerOf, type Run } from "./container.ts";
import { answerTimeoutMs, openInit } from "./launch.ts";
import { cleanUpKilled, handleEvent, killedExit, watchShim } from "./run-end.ts";

/** A frozen process must not hold up the start of the engine: it is asked again in the background. */
const helloTimeoutMs = 1_000;
/** Exit code of a container that the machine went down with. */
const lostExitCode = 255;

export async function adopt(brain: Brain, request: AdoptRequest): Promise<AdoptResponse> {
  const container = containerOf(brain, request.id);
  return await container.serialize(async () => {
    if (container.state.status === "running") return await running(brain, container.state.run, []);
    const record = recordOf(brain, container, request);
    const pidfd =
      record?.bootId === brain.machine.bootId
        ? brain.processes.open(record.shimPid, BigInt(record.shimStartTicks))
        : undefined;
    if (record === undefined || pidfd === undefined)
      return await ended(brain, container, request, record);
    const run = openRun(brain, record, pidfd, request);
    return await takeOver(brain, container, run, request);
  });
}

/** The run folder's own record is there from before the launch had an answer; after a reboot only the request is. */
function recordOf(
  brain: Brain,
  container: Container,
  request: AdoptRequest,
): RunRecord | undefined {
  const written = container.folder.readRecord();
  if (written !== undefined) return written;
  const { launched } = request;
  if (launched === undefined || launched.shimPid === 0) return undefined;
  return {
    shimPid: launched.shimPid,
    shimStartTicks: String(launched.shimStartTicks),
    bootId: request.bootId,
    nonce: Buffer.from(launched.nonce).toString("hex"),
    cgroupPath: `/${brain.cgroupParent}/${request.id}`,
    bundlePath: "",
    exitRecordPath: request.exitRecordPath,
    hostLinks: [],
  };
}

function openRun(brain: Brain, record: RunRecord, pidfd: number, request: AdoptRequest): Run {
  return {
    record,
    shim: brain.processes.watch(record.shimPid, pidfd),
    init: undefined,
    link: undefined,
    launched: request.launched,
    execs: new Set(),
    exited: Promise.withResolvers(),
    hasExited: false,
    shimEnded: Promise.withResolvers(),
    backlog: undefined,
    seccomp: undefined,
  };
}

async function takeOver(
  brain: Brain,
  container: Container,
  run: Run,
  request: AdoptRequest,
): Promise<AdoptResponse> {
  container.state = { status: "running", run };
  const hello = await greet(brain, container, run);
  // It may have told of its container's end between our two looks at it.
  const record = run.hasExited ? undefined : await endOnRecord(brain, run);
  if (hello === undefined && record !== undefined)
    return await alreadyEnded(brain, container, run, record);
  watchShim(brain, container, run);
  if (hello === undefined) {
    brain.logger.warn(
      { container: request.id, shimPid: run.record.shimPid },
      "shim process does not answer",
    );
    void keepGreeting(brain, container, run);
  }
  return await running(brain, run, hello?.execs ?? []);
}

/** The first process ended, and its shim process is about to. */
async function alreadyEnded(
  brain: Brain,
  container: Container,
  run: Run,
  exited: Exited,
): Promise<AdoptResponse> {
  run.hasExited = true;
  run.exited.resolve(exited);
  container.state = { status: "ended", run };
  watchShim(brain, container, run);
  return create(AdoptResponseSchema, { exited });
}

async function endOnRecord(brain: Brain, run: Run): Promise<Exited | undefined> {
  const record = await brain.exitRecords.read(run.record.exitRecordPath);
  return record?.nonce === run.record.nonce ? record.exited : undefined;
}

async function running(
  brain: Brain,
  run: Run,
  execs: AdoptResponse["execs"],
): Promise<AdoptResponse> {
  const paused = await brain.cgroups.isFrozen(run.record.cgroupPath);
  const base = { running: true, execs, paused };
  return create(
    AdoptResponseSchema,
    run.launched === undefined ? base : { ...base, launched: run.launched },
  );
}

/** Connects and says Hello. Undefined when the process does not answer now. */
async function greet(
  brain: Brain,
  container: Container,
  run: Run,
): Promise<HelloReply | undefined> {
  let link: ProcessLink | undefined;
  try {
    const socket = await connected(container.folder.controlSocket);
    link = brain.openLink({
      socket,
      answerTimeoutMs: helloTimeoutMs,
      onEvent: (message) => {
        handleEvent(brain, container, run, message);
      },
    });
    const answer = await link.ask({ case: "hello", value: { protocolVersion } });
    if (answer.case !== "hello" || !isOurs(answer.value, container, run)) {
      link.close();
      return undefined;
    }
    accept(brain, run, link, answer.value);
    return answer.value;
  } catch (error) {
    link?.close();
    const isSilent = hasKind(error, "deadline_exceeded") || hasKind(error, "unavailable");
    if (!isSilent && !isSocketError(error)) throw error;
    return undefined;
  }
}

function isOurs(hello: HelloReply, container: Container, run: Run): boolean {
  return hello.id === container.id && Buffer.from(hello.nonce).toString("hex") === run.record.nonce;
}

function accept(brain: Brain, run: Run, link: ProcessLink, hello: HelloReply): void {
  run.link = link;
  for (const exec of hello.execs) run.execs.add(exec.execId);
  run.launched ??= create(LaunchResponseSchema, {
    shimPid: run.record.shimPid,
    shimStartTicks: BigInt(run.record.shimStartTicks),
    nonce: Buffer.from(run.record.nonce, "hex"),
  });
  run.launched.pid = hello.pid;
  run.launched.pidStartTicks = hello.pidStartTicks;
  if (!run.hasExited) run.init = openInit(brain, hello);
}

/** Asks again until the process answers or is gone. */
async function keepGreeting(brain: Brain, container: Container, run: Run): Promise<void> {
  let gone = false;
  void run.shimEnded.promise.then(() => {
    gone = true;
  });
  while (!gone && run.link === undefined) {
    try {
      if ((await greet(brain, container, run)) !== undefined) return;
    } catch (error) {
      brain.logger.error({ err: error, container: container.id }, "shim process cannot be adopted");
      return;
    }
    await Promise.race([run.shimEnded.promise, pause(answerTimeoutMs / 10)]);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

/** Nobody listens (any more). */
function isSocketError(error: unknown): boolean {
  return error instanceof Error && "syscall" in error && error.syscall === "connect";
}

/** Nothing of it runs: the record, the boot ID, or the silence says how it ended. Puts away what is left. */
async function ended(
  brain: Brain,
  container: Container,
  request: AdoptRequest,
  record: RunRecord | undefined,
): Promise<AdoptResponse> {
  const exited = await howItEnded(brain, request, record);
  if (record?.bootId === brain.machine.bootId) await cleanUpKilled(brain, { record });
  else await brain.cgroups.remove(`/${brain.cgroupParent}/${request.id}`);
  container.folder.remove();
  container.state = { status: "idle" };
  return create(AdoptResponseSchema, { exited });
}

async function howItEnded(
  brain: Brain,
  request: AdoptRequest,
  record: RunRecord | undefined,
): Promise<Exited> {
  const written = await brain.exitRecords.read(request.exitRecordPath);
  const nonce = nonceOf(request, record);
  if (written !== undefined && (nonce === "" || written.nonce === nonce)) return written.exited;
  const sameBoot = (record?.bootId ?? request.bootId) === brain.machine.bootId;
  const lost = create(ExitedSchema, {
    exitCode: lostExitCode,
    timeNano: BigInt(Date.now()) * 1_000_000n,
  });
  return sameBoot ? killedExit() : lost;
}

/** Hex; empty when no launch got so far as to have one. */
function nonceOf(request: AdoptRequest, record: RunRecord | undefined): string {
  return record?.nonce ?? Buffer.from(request.launched?.nonce ?? []).toString("hex");
}
