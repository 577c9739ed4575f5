/** Handlers that carry bytes of containers: attach, logs, export, archives. */
import { httpStatus, invalidArgument, toEngineError } from "@gantry/errors";
import type { ApiCall } from "../api-call.ts";
import { given } from "../decode/init.ts";
import { parseTimestamp } from "../decode/timestamp.ts";
import { encodePathStat } from "../encode/path-stat.ts";
import { opened } from "../encode/version-gates.ts";
import { closeSoon, join } from "../hijack/join.ts";
import { connectOutput } from "../output.ts";
import { multiplexedStream, rawStream, writeRawText, writeTakeoverHead } from "../raw-answer.ts";
import { expectUpload, takeBody } from "../raw-body.ts";
import { connectEndpoint, copyIn, copyOut, openStream, sendData } from "../relay.ts";
import { connectRun } from "./run-streams.ts";

/** Content type of a stream: framed ones are announced from 1.42 on. */
export function streamType(tty: boolean, version: number): string {
  return !tty && opened("multiplexedType", version) ? multiplexedStream : rawStream;
}

/** What an attach asks for. */
function attachRequest({ name, query }: ApiCall) {
  return {
    container: name,
    stdin: query.flag("stdin"),
    stdout: query.flag("stdout"),
    stderr: query.flag("stderr"),
    detachKeys: query.text("detachKeys"),
    stream: query.flag("stream"),
    logs: query.flag("logs"),
  };
}

/** POST /containers/{id}/attach. Errors before the takeover are plain text: clients know them so. */
export async function attachContainer(call: ApiCall): Promise<void> {
  const { socket, upgrade } = call.takeover;
  const request = attachRequest(call);
  try {
    const answer = await call.backends.containers.attachContainer(request);
    const logs = answer.logs && (await connectOutput(answer.logs, call.signal));
    const { stream: endpoint } = answer;
    const stream =
      endpoint &&
      (await connectRun(
        () => connectOutput(endpoint, call.signal),
        () => call.backends.containers.inspectContainer({ container: call.name }),
      ));
    const contentType = streamType(answer.tty, call.version);
    await writeTakeoverHead(socket, { upgrade, contentType, headers: [] });
    if (logs !== undefined) await copyOut(logs, socket);
    if (stream !== undefined)
      await join(socket, stream, { input: request.stdin, connection: call.request.socket });
    else {
      socket.end();
      closeSoon(socket);
    }
  } catch (error) {
    if (socket.writableEnded) throw error;
    const { kind, message } = toEngineError(error);
    writeRawText(socket, httpStatus(kind), message);
  }
}

/** GET /containers/{id}/logs */
export async function containerLogs(call: ApiCall): Promise<void> {
  const { query } = call;
  const stdout = query.flag("stdout");
  const stderr = query.flag("stderr");
  if (!stdout && !stderr) {
    throw invalidArgument("must specify at least one of 'stdout' or 'stderr'");
  }
  const answer = await call.backends.containers.openLogs(
    given({
      container: call.name,
      follow: query.flag("follow"),
      stdout,
      stderr,
      sinceNano: logTime(query.text("since")),
      untilNano: logTime(query.text("until")),
      timestamps: query.flag("timestamps"),
      details: query.flag("details"),
      tail: tailCount(query.text("tail")),
    }),
    { signal: call.signal },
  );
  const data = await connectOutput(answer.data, call.signal);
  const response = call.startStream(streamType(answer.tty, call.version));
  await copyOut(data, response);
  response.end();
}

function logTime(text: string): bigint {
  return text === "0" ? 0n : parseTimestamp(text);
}

/** `all`, nothing, negative or unreadable: everything. */
function tailCount(text: string): bigint | undefined {
  return /^\d{1,18}$/.test(text) ? BigInt(text) : undefined;
}

/** GET /containers/{id}/export */
export async function exportContainer(call: ApiCall): Promise<void> {
  const { signal } = call;
  const stream = call.backends.containers.exportContainer({ container: call.name }, { signal });
  const opening = await openStream(stream);
  const data = await connectOutput(opening.first.data, signal);
  await sendData(call.startStream("application/octet-stream"), data, () => opening.ended());
}

function archivePath({ query }: ApiCall): string {
  const path = query.text("path");
  if (path === "") throw invalidArgument("bad parameter: path cannot be empty");
  return path;
}

/** HEAD /containers/{id}/archive */
export async function statArchive(call: ApiCall): Promise<void> {
  const request = { container: call.name, path: archivePath(call) };
  try {
    const { stat } = await call.backends.containers.statPath(request);
    call.startStream("", stat === undefined ? [] : [statHeader, encodePathStat(stat)]).end();
  } finally {
    // A path that is not there yet is as likely to be made by one.
    expectUpload(call.request);
  }
}

const statHeader = "X-Docker-Container-Path-Stat";

/** GET /containers/{id}/archive */
export async function getArchive(call: ApiCall): Promise<void> {
  const { signal } = call;
  const path = archivePath(call);
  const stream = call.backends.containers.getArchive({ container: call.name, path }, { signal });
  const opening = await openStream(stream);
  const { stat, data: endpoint } = opening.first;
  const data = await connectOutput(endpoint, signal);
  const more = stat === undefined ? [] : [statHeader, encodePathStat(stat)];
  await sendData(call.startStream("application/x-tar", more), data, () => opening.ended());
}

/** PUT /containers/{id}/archive */
export async function putArchive(call: ApiCall): Promise<void> {
  const { query, signal } = call;
  const body = takeBody(call.request);
  const stream = call.backends.containers.putArchive(
    {
      container: call.name,
      path: archivePath(call),
      noOverwriteDirNonDir: query.flag("noOverwriteDirNonDir"),
      copyUidGid: query.flag("copyUIDGID"),
    },
    { signal },
  );
  const opening = await openStream(stream);
  const data = await connectEndpoint(opening.first.data, signal);
  call.continueBody();
  const copied = body === undefined ? copyIn(call.request, data) : body.copyTo(data);
  await uploaded(copied, () => opening.ended());
  // Node's parser has not seen the end of a body that was taken.
  if (body !== undefined) call.response.shouldKeepAlive = false;
  call.empty(200);
}

/**
 * Waits for a service that reads an upload. It alone judges: it may have had enough before the end, and
 * its error says more than the broken connection that comes with it.
 */
async function uploaded(copy: Promise<void>, ended: () => Promise<void>): Promise<void> {
  copy.catch(() => undefined);
  await ended();
}
