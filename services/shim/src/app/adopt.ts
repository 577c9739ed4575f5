/**
 * Adopt: takes over a shim process that an earlier brain started, or finds out how it ended.
 *
 * Who the process is, is proved thrice: by its start time (a pid may be somebody else's by now), by
 * the boot ID, and by the nonce of its plan.
 */
import { setTimeout as pause } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import {
  type AdoptRequest,
  type AdoptResponse,
  AdoptResponseSchema,
  ExitedSchema,
  type LaunchResponse,
} from "@gantry/proto/shim";
import type { ExitRecord, RunRecord } from "../ports.ts";
import { type Brain, type Container, containerOf, type Run } from "./container.ts";
import { greet, identityOf, keepConnected } from "./link.ts";
import {
  cleanUpKilled,
  hasBegun,
  killDeadlineMs,
  killedExit,
  recordOfRun,
  sigkill,
  watchShim,
} from "./run-end.ts";

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
    if (isOutOfReach(container, request)) {
      await killOutOfReach(brain, record, pidfd);
      return await ended(brain, container, request, record);
    }
    const run = openRun(brain, record, pidfd, request);
    return await takeOver(brain, container, run, request);
  });
}

/** Its run folder was taken away, and its sockets with it: it could not be asked for anything any more, nor stopped. */
function isOutOfReach({ folder }: Container, { launched }: AdoptRequest): boolean {
  // One that is still being made may not listen yet.
  return launched !== undefined && launched.pid !== 0 && !folder.hasControlSocket();
}

async function killOutOfReach(brain: Brain, record: RunRecord, pidfd: number): Promise<void> {
  const { shimPid, cgroupPath } = record;
  brain.logger.warn({ shimPid, cgroupPath }, "shim process without its socket is killed");
  const shim = brain.processes.watch(shimPid, pidfd);
  shim.signal(sigkill);
  await Promise.race([shim.ended, pause(killDeadlineMs, undefined, { ref: false })]);
  shim.close();
}

/**
 * The run folder's own record is there from before the process has begun anything; after a reboot only
 * the request is. One with another nonce is of an earlier launch: of this one nothing was begun.
 */
function recordOf(
  brain: Brain,
  container: Container,
  request: AdoptRequest,
): RunRecord | undefined {
  const written = container.folder.readRecord();
  const nonce = nonceOf(request);
  if (written !== undefined && (nonce === "" || nonce === written.nonce)) return written;
  const { launched } = request;
  if (launched === undefined || launched.shimPid === 0) return undefined;
  return {
    shimPid: launched.shimPid,
    shimStartTicks: String(launched.shimStartTicks),
    bootId: request.bootId,
    nonce,
    cgroupPath: cgroupOf(brain, request),
    bundlePath: "",
    exitRecordPath: request.exitRecordPath,
    hostLinks: [],
  };
}

function cgroupOf(brain: Brain, request: AdoptRequest): string {
  return `/${brain.cgroupParent}/${request.id}`;
}

/** Hex; empty when no launch got so far as to have one. */
function nonceOf({ launched }: AdoptRequest): string {
  return Buffer.from(launched?.nonce ?? []).toString("hex");
}

function openRun(brain: Brain, record: RunRecord, pidfd: number, request: AdoptRequest): Run {
  const { launched } = request;
  return {
    record,
    shim: brain.processes.watch(record.shimPid, pidfd),
    init: undefined,
    link: undefined,
    connected: Promise.withResolvers(),
    launched: launched === undefined || launched.pid === 0 ? undefined : launched,
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
  const record = await recordOfRun(brain, run);
  // It may have told of its container's end between our two looks at it: then that comes after the answer.
  if (record?.exited !== undefined && !run.hasExited)
    return alreadyEnded(brain, container, run, record);
  watchShim(brain, container, run);
  keepConnected(brain, container, run);
  if (hello === undefined) {
    const { shimPid } = run.record;
    brain.logger.warn({ container: request.id, shimPid }, "shim process does not answer");
  }
  if (record !== undefined) run.launched ??= launchedOf(run, record);
  if (!hasBegun(run)) await untilBegun(run, request.startTimeoutMs);
  if (!hasBegun(run) && run.hasExited) return await endedMeanwhile(brain, run);
  return await running(brain, run, hello?.execs ?? []);
}

/** Waits for a process that is still being made. */
async function untilBegun(run: Run, timeoutMs: number): Promise<void> {
  if (timeoutMs === 0) return;
  const timer = new AbortController();
  const late = pause(timeoutMs, undefined, { signal: timer.signal }).catch(() => undefined);
  await Promise.race([run.connected.promise, run.shimEnded.promise, late]);
  timer.abort();
}

/** It ended before it could be greeted: with its run, or without one. */
async function endedMeanwhile(brain: Brain, run: Run): Promise<AdoptResponse> {
  const record = await recordOfRun(brain, run);
  if (record === undefined) return create(AdoptResponseSchema, {});
  return create(AdoptResponseSchema, {
    exited: await run.exited.promise,
    recorded: record.exited !== undefined,
    launched: launchedOf(run, record),
  });
}

/** The first process ended, and its shim process is about to. */
function alreadyEnded(
  brain: Brain,
  container: Container,
  run: Run,
  record: ExitRecord,
): AdoptResponse {
  const { exited = killedExit() } = record;
  run.hasExited = true;
  run.exited.resolve(exited);
  container.state = { status: "ended", run };
  watchShim(brain, container, run);
  return create(AdoptResponseSchema, {
    exited,
    recorded: true,
    launched: run.launched ?? launchedOf(run, record),
  });
}

/** What a record tells of a launch without an answer. */
function launchedOf(run: Pick<Run, "record">, { started }: ExitRecord): LaunchResponse {
  return { ...identityOf(run), ...started };
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

/** Nothing of it runs: the record, the boot ID, or the silence says how it ended. Puts away what is left. */
async function ended(
  brain: Brain,
  container: Container,
  request: AdoptRequest,
  record: RunRecord | undefined,
): Promise<AdoptResponse> {
  const found = record ?? unknownRun(brain, request);
  const response = await howItEnded(brain, request, found);
  if (found.bootId === brain.machine.bootId) await cleanUpKilled(brain, { record: found });
  else await brain.cgroups.remove(found.cgroupPath);
  container.folder.remove();
  container.state = { status: "idle" };
  return response;
}

/** A launch that nothing but the request tells of. */
function unknownRun(brain: Brain, request: AdoptRequest): RunRecord {
  return {
    shimPid: 0,
    shimStartTicks: "0",
    bootId: request.bootId,
    nonce: nonceOf(request),
    cgroupPath: cgroupOf(brain, request),
    bundlePath: "",
    exitRecordPath: request.exitRecordPath,
    hostLinks: [],
  };
}

async function howItEnded(
  brain: Brain,
  { launched }: AdoptRequest,
  record: RunRecord,
): Promise<AdoptResponse> {
  const written = record.nonce === "" ? undefined : await recordOfRun(brain, { record });
  const response = create(AdoptResponseSchema, { recorded: written?.exited !== undefined });
  if (launched !== undefined && launched.pid !== 0) response.launched = launched;
  else if (written !== undefined) response.launched = launchedOf({ record }, written);
  const lost = create(ExitedSchema, {
    exitCode: lostExitCode,
    timeNano: BigInt(Date.now()) * 1_000_000n,
  });
  const sameBoot = record.bootId === brain.machine.bootId;
  response.exited = written?.exited ?? (sameBoot ? killedExit() : lost);
  return response;
}
