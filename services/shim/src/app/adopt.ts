/**
 * Adopt: takes over a shim process that an earlier brain started, or finds out how it ended.
 *
 * Who the process is, is proved thrice: by its start time (a pid may be somebody else's by now), by
 * the boot ID, and by the nonce of its plan.
 */
import { create } from "@bufbuild/protobuf";
import {
  type AdoptRequest,
  type AdoptResponse,
  AdoptResponseSchema,
  type Exited,
  ExitedSchema,
} from "@gantry/proto/shim";
import type { RunRecord } from "../ports.ts";
import { type Brain, type Container, containerOf, type Run } from "./container.ts";
import { greet, keepConnected } from "./link.ts";
import { cleanUpKilled, killedExit, watchShim } from "./run-end.ts";

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
    connected: Promise.withResolvers(),
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
    const { shimPid } = run.record;
    brain.logger.warn({ container: request.id, shimPid }, "shim process does not answer");
  }
  keepConnected(brain, container, run);
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
  return create(AdoptResponseSchema, { exited, recorded: true });
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

/** Nothing of it runs: the record, the boot ID, or the silence says how it ended. Puts away what is left. */
async function ended(
  brain: Brain,
  container: Container,
  request: AdoptRequest,
  record: RunRecord | undefined,
): Promise<AdoptResponse> {
  const { exited, recorded } = await howItEnded(brain, request, record);
  if (record?.bootId === brain.machine.bootId) await cleanUpKilled(brain, { record });
  else await brain.cgroups.remove(`/${brain.cgroupParent}/${request.id}`);
  container.folder.remove();
  container.state = { status: "idle" };
  return create(AdoptResponseSchema, { exited, recorded });
}

async function howItEnded(
  brain: Brain,
  request: AdoptRequest,
  record: RunRecord | undefined,
): Promise<{ readonly exited: Exited; readonly recorded: boolean }> {
  const written = await brain.exitRecords.read(request.exitRecordPath);
  const nonce = nonceOf(request, record);
  if (written !== undefined && (nonce === "" || written.nonce === nonce)) {
    return { exited: written.exited, recorded: nonce !== "" };
  }
  const sameBoot = (record?.bootId ?? request.bootId) === brain.machine.bootId;
  const lost = create(ExitedSchema, {
    exitCode: lostExitCode,
    timeNano: BigInt(Date.now()) * 1_000_000n,
  });
  return { exited: sameBoot ? killedExit() : lost, recorded: false };
}

/** Hex; empty when no launch got so far as to have one. */
function nonceOf(request: AdoptRequest, record: RunRecord | undefined): string {
  return record?.nonce ?? Buffer.from(request.launched?.nonce ?? []).toString("hex");
}
