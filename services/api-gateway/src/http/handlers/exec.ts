/** Handlers of execs. */
import { EngineError, invalidArgument } from "@gantry/errors";
import type { ApiCall } from "../api-call.ts";
import { consoleSize } from "../decode/host-config.ts";
import { encodeExec } from "../encode/exec.ts";
import { commonHeaders } from "../headers.ts";
import { closeSoon, join } from "../hijack/join.ts";
import { connectOutput } from "../output.ts";
import { writeRawEmpty, writeTakeoverHead } from "../raw-answer.ts";
import { terminalSize } from "./container-read.ts";
import { streamType } from "./container-streams.ts";
import { connectRun } from "./run-streams.ts";

/** POST /containers/{id}/exec */
export async function createExec(call: ApiCall): Promise<void> {
  const body = await call.jsonBody();
  const cmd = body.oneOrMoreTexts("Cmd") ?? [];
  if (cmd.length === 0) throw invalidArgument("No exec command specified");
  const { execId } = await call.backends.execs.createExec({
    container: call.name,
    cmd,
    attachStdin: body.flag("AttachStdin"),
    attachStdout: body.flag("AttachStdout"),
    attachStderr: body.flag("AttachStderr"),
    tty: body.flag("Tty"),
    env: body.texts("Env") ?? [],
    user: body.text("User"),
    workingDir: body.text("WorkingDir"),
    privileged: body.flag("Privileged"),
    detachKeys: body.text("DetachKeys"),
    ...consoleSize(body, call.version),
  });
  call.json({ Id: execId }, 201);
}

/** POST /exec/{id}/start: detached it is an ordinary call, else the socket becomes the process's streams. */
export async function startExec(call: ApiCall): Promise<void> {
  const { socket, upgrade } = call.takeover;
  const body = await call.jsonBody();
  const detach = body.flag("Detach");
  const tty = body.flag("Tty");
  const size = consoleSize(body, call.version);
  const request = { execId: call.name, detach, tty, ...size };
  const started = await call.backends.execs
    .startExec(request)
    .catch((error: unknown) => secondStart(call, detach, error));
  if (started instanceof EngineError) {
    await answerInStream(call, tty, started.message);
    return;
  }
  const { stream } = started;
  if (detach) {
    writeRawEmpty(socket);
    return;
  }
  // The process starts when this connection arrives; where it can't start, the stream says so.
  let containerId = "";
  const data = await connectRun(
    () => connectOutput(stream, call.signal),
    async () => {
      const { exec } = await call.backends.execs.inspectExec({ execId: call.name });
      containerId = exec?.containerId ?? "";
    },
  );
  if (data === undefined) {
    await answerInStream(call, tty, `container ${containerId} is not running`);
    return;
  }
  const contentType = streamType(tty, call.version);
  await writeTakeoverHead(socket, { upgrade, contentType, headers: commonHeaders });
  await join(socket, data, {
    input: true,
    connection: call.request.socket,
    beforeEnd: () => exitRecorded(call),
  });
}

/**
 * The refusal of a second start with streams, which Docker tells in the stream: Compose's watch starts what it
 * has attached to once more, and takes an answer without error for granted. Other errors are thrown.
 */
async function secondStart(call: ApiCall, detach: boolean, error: unknown): Promise<EngineError> {
  if (detach || !(error instanceof EngineError) || error.kind !== "conflict") throw error;
  const { exec } = await call.backends.execs.inspectExec({ execId: call.name });
  if (exec?.running !== true && exec?.exitCode === undefined) throw error;
  return error;
}

/** A takeover that ends with one line. */
async function answerInStream(call: ApiCall, tty: boolean, line: string): Promise<void> {
  const { socket, upgrade } = call.takeover;
  const contentType = streamType(tty, call.version);
  await writeTakeoverHead(socket, { upgrade, contentType, headers: commonHeaders });
  const text = Buffer.from(`${line}\r\n`);
  socket.end(tty ? text : framed(text));
  closeSoon(socket);
}

/** A frame of standard output. */
function framed(text: Buffer): Buffer {
  const head = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32BE(text.length, 4);
  return Buffer.concat([head, text]);
}

/** A process that has closed its streams goes on: its client is let go after this time. */
const exitRecordedMs = 1000;

/**
 * Clients ask for the exit code as soon as their stream ends. The end comes straight from the process,
 * its exit code by way of the service's records: the end waits for those, unless it was the client that left.
 */
async function exitRecorded({ backends, logger, name, signal }: ApiCall): Promise<void> {
  const options = { signal, timeoutMs: exitRecordedMs };
  const request = { execId: name, orDetached: true };
  await backends.execs.waitExec(request, options).catch((error: unknown) => {
    logger.debug({ err: error, exec: name }, "stream ends before its exit is recorded");
  });
}

/** POST /exec/{id}/resize */
export async function resizeExec(call: ApiCall): Promise<void> {
  const size = terminalSize(call);
  await call.backends.execs.resizeExec({ execId: call.name, ...size });
  call.empty(200);
}

/** GET /exec/{id}/json */
export async function inspectExec(call: ApiCall): Promise<void> {
  const { exec } = await call.backends.execs.inspectExec({ execId: call.name });
  if (exec === undefined) throw new EngineError("internal", "the answer has no exec");
  call.json(encodeExec(exec));
}
