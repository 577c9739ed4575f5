/** The connection to a shim process that runs already: made, proved, and made again when it is lost. */
import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { hasKind } from "@gantry/errors";
import { type HelloReply, type LaunchResponse, LaunchResponseSchema } from "@gantry/proto/shim";
import { protocolVersion } from "../compile/launch-plan.ts";
import type { ProcessHandle, ProcessLink } from "../ports.ts";
import type { Brain, Container, Run } from "./container.ts";
import { handleEvent } from "./run-end.ts";

/** A request to a shim process is answered within this time, or it is frozen. */
export const answerTimeoutMs = 10_000;
/** A frozen process must not hold up the start of the engine: it is asked again in the background. */
const helloTimeoutMs = 2_000;
/** Between two tries. */
const retryMs = 500;

/** Undefined when it has ended already. */
export function openInit(
  brain: Brain,
  process: { readonly pid: number; readonly pidStartTicks: bigint },
): ProcessHandle | undefined {
  const pidfd = brain.processes.open(process.pid, process.pidStartTicks);
  return pidfd === undefined ? undefined : brain.processes.hold(process.pid, pidfd);
}

/** Connects and says Hello. Undefined when the process does not answer now. */
export async function greet(
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
  run.connected.resolve();
  for (const exec of hello.execs) run.execs.add(exec.execId);
  // After its end it does not name its process any more.
  if (hello.pid === 0) return;
  run.launched ??= identityOf(run);
  run.launched.pid = hello.pid;
  run.launched.pidStartTicks = hello.pidStartTicks;
  if (hello.startedAtNano !== 0n) run.launched.startedAtNano = hello.startedAtNano;
  run.init?.close();
  run.init = run.hasExited ? undefined : openInit(brain, hello);
}

/** What is known of a run before its first process is. */
export function identityOf({ record }: Pick<Run, "record">): LaunchResponse {
  return create(LaunchResponseSchema, {
    shimPid: record.shimPid,
    shimStartTicks: BigInt(record.shimStartTicks),
    nonce: Buffer.from(record.nonce, "hex"),
  });
}

/**
 * Connects again, until the run is over, when the connection is lost: a process cuts off a brain that
 * lets too much pile up. What happened meanwhile is in its exit record.
 */
export function keepConnected(brain: Brain, container: Container, run: Run): void {
  const isOver = (): boolean => container.state.status !== "running" || container.state.run !== run;
  const again = async (): Promise<void> => {
    while (!isOver()) {
      if (run.link === undefined) await greet(brain, container, run);
      if (run.link === undefined) {
        await Promise.race([run.shimEnded.promise, pause(retryMs, undefined, { ref: false })]);
        continue;
      }
      await run.link.ended;
      if (isOver()) return;
      run.link = undefined;
      run.connected = Promise.withResolvers();
    }
  };
  again().catch((error: unknown) => {
    brain.logger.error(
      { err: error, container: container.id },
      "shim process cannot be connected to",
    );
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
