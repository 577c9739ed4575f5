/** Signal, Resize, Exec and tickets: what is asked of a running shim process. */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { create } from "@bufbuild/protobuf";
import { hasErrno, invalidArgument } from "@gantry/errors";
import { parseRuntimeProcess, parseRuntimeSpec } from "@gantry/oci/runtime-spec";
import {
  type ExecProcessRequest,
  type ExecProcessResponse,
  ExecProcessResponseSchema,
  type IssueTicketRequest,
  type IssueTicketResponse,
  IssueTicketResponseSchema,
  type ResizeProcessRequest,
  type SignalProcessRequest,
  type StreamTicket,
  StreamTicketSchema,
} from "@gantry/proto/shim";
import { compileProcess } from "../compile/process.ts";
import type { SeccompProgram } from "../ports.ts";
import { askRun, type Brain, containerOf, notRunning, type Run, runningRun } from "./container.ts";
import { prepare } from "./prepare.ts";

const ticketBytes = 32;
/** Signal numbers that the kernel knows. */
const maxSignal = 64;

export async function signalProcess(brain: Brain, request: SignalProcessRequest): Promise<void> {
  const { id, execId, signal, all } = request;
  if (signal < 1 || signal > maxSignal) throw invalidArgument(`invalid signal: ${String(signal)}`);
  const run = runningRun(brain, id);
  if (all) {
    await signalEach(brain, run, signal);
    return;
  }
  if (execId === "" && run.init !== undefined) {
    // Goes past the shim process, so that a frozen one is no obstacle.
    if (!run.init.signal(signal)) throw notRunning(id);
    return;
  }
  await askRun(run, id, { case: "signal", value: { signal, execId, all } });
}

async function signalEach(brain: Brain, run: Run, signal: number): Promise<void> {
  for (const pid of await brain.cgroups.pids(run.record.cgroupPath)) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (!hasErrno(error, "ESRCH")) throw error;
    }
  }
}

export async function resize(brain: Brain, request: ResizeProcessRequest): Promise<void> {
  const { id, execId, height, width } = request;
  const run = runningRun(brain, id);
  await askRun(run, id, { case: "resize", value: { execId, height, width } });
}

export async function issueTicket(
  brain: Brain,
  request: IssueTicketRequest,
): Promise<IssueTicketResponse> {
  const container = containerOf(brain, request.id);
  const ticket = newTicket(request.options);
  const answer = create(IssueTicketResponseSchema, {
    path: container.folder.ioSocket,
    ticket: ticket.ticket,
  });
  if (request.running || container.state.status === "running") {
    await addTicket(brain, request.id, ticket);
    return answer;
  }
  // Behind a launch that is under way, so that the ticket reaches the plan or the process.
  await container.serialize(async () => {
    await prepare(brain, container);
    if (container.state.status === "prepared") container.state.tickets.push(ticket);
    else await addTicket(brain, request.id, ticket);
  });
  return answer;
}

async function addTicket(brain: Brain, id: string, ticket: StreamTicket): Promise<void> {
  await askRun(runningRun(brain, id), id, { case: "addTicket", value: ticket });
}

function newTicket(options: StreamTicket | undefined): StreamTicket {
  const { execId, stdin, stdout, stderr, framed, detachKeys, ttlMs } =
    options ?? create(StreamTicketSchema);
  return create(StreamTicketSchema, {
    ticket: randomBytes(ticketBytes),
    execId,
    stdin,
    stdout,
    stderr,
    framed,
    detachKeys,
    ttlMs,
  });
}

export async function exec(
  brain: Brain,
  request: ExecProcessRequest,
): Promise<ExecProcessResponse> {
  const { id, execId, openStdin, startOnAttach } = request;
  const run = runningRun(brain, id);
  const process = compileProcess(
    parseRuntimeProcess(Buffer.from(request.processJson).toString("utf8")),
    {
      capabilityBound: brain.machine.capabilityBound,
      seccomp: await seccompOf(brain, run),
      user: request.user,
      additionalGroups: request.additionalGroups,
    },
  );
  const ticket =
    request.options === undefined ? undefined : newTicket({ ...request.options, execId });
  const body = {
    execId,
    process,
    openStdin,
    startOnAttach,
    ...(ticket === undefined ? {} : { ticket }),
  };
  // Known before it runs: its end may be told before the answer is read.
  run.execs.add(execId);
  try {
    const answer = await askRun(run, id, { case: "exec", value: body });
    return execResponse(brain, id, answer.case === "execStarted" ? answer.value.pid : 0, ticket);
  } catch (error) {
    run.execs.delete(execId);
    throw error;
  }
}

function execResponse(
  brain: Brain,
  id: string,
  pid: number,
  ticket: StreamTicket | undefined,
): ExecProcessResponse {
  if (ticket === undefined) return create(ExecProcessResponseSchema, { pid });
  const path = containerOf(brain, id).folder.ioSocket;
  return create(ExecProcessResponseSchema, { pid, ticket: { path, ticket: ticket.ticket } });
}

/** An exec is under the container's own profile; after an adoption that is in the bundle. */
async function seccompOf(brain: Brain, run: Run): Promise<SeccompProgram | undefined> {
  if (run.seccomp !== undefined || run.record.bundlePath === "") return run.seccomp;
  const text = await readFile(path.join(run.record.bundlePath, "config.json"), "utf8");
  const profile = parseRuntimeSpec(text).linux?.seccomp;
  if (profile === undefined) return undefined;
  run.seccomp = await brain.seccomp.compile(profile);
  return run.seccomp;
}
