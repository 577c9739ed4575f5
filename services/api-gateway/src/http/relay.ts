/** Bulk bytes between HTTP bodies and data-plane sockets. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { EngineError } from "@gantry/errors";
import { connectData, drained } from "@gantry/rpc";
import type { OutputConnection } from "./output.ts";

/** Where a service says that its bytes are. Both message kinds have this shape. */
export interface Endpoint {
  readonly path: string;
  readonly ticket: Uint8Array;
}

/** Connects to an endpoint that must be there. */
export async function connectEndpoint(
  endpoint: Endpoint | undefined,
  signal: AbortSignal,
): Promise<Socket> {
  if (endpoint === undefined)
    throw new EngineError("internal", "the service gave no data endpoint");
  const socket = await connectData(endpoint, { signal });
  socket.on("error", () => undefined);
  return socket;
}

/**
 * Copies what comes from a data socket until its end. The target stays open.
 * Rejects when the data socket breaks; destroys it when the target is closed.
 */
export async function copyOut(output: OutputConnection, target: Writable): Promise<void> {
  const { socket: data } = output;
  const onTargetClosed = (): void => {
    data.destroy();
  };
  if (target.destroyed) onTargetClosed();
  target.once("close", onTargetClosed);
  output.sendTo(target);
  try {
    await finished(data, { writable: false });
  } finally {
    target.off("close", onTargetClosed);
    data.destroy();
  }
}

/** Copies a request's body into a data socket and half-closes it; waits until the peer has closed, too. */
export async function copyIn(request: IncomingMessage, data: Socket): Promise<void> {
  data.resume();
  const onAborted = (): void => {
    data.destroy();
  };
  const onData = (chunk: Buffer): void => {
    const takesMore = data.write(chunk, () => {
      giveBack(chunk);
    });
    if (!takesMore) request.pause();
  };
  const onDrain = (): void => {
    request.resume();
  };
  const onEnd = (): void => {
    data.end();
  };
  request.once("aborted", onAborted);
  request.once("error", onAborted);
  request.once("end", onEnd);
  data.on("drain", onDrain);
  request.on("data", onData);
  try {
    await finished(data, { readable: false });
  } finally {
    data.off("drain", onDrain);
    request.off("data", onData);
    request.pause();
    request.off("end", onEnd);
    request.off("aborted", onAborted);
    request.off("error", onAborted);
  }
}

/**
 * Frees a chunk's memory, where it has a buffer of its own. Left to V8, such buffers make it look through
 * the whole heap for every 64 MiB, which costs as much again as the copy.
 */
function giveBack({ buffer, byteLength }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

/** First message of a stream, and the rest. */
export interface Opened<T> {
  readonly first: T;
  readonly rest: AsyncIterable<T>;
  /** Resolves at the end of the rest, which nobody else may read then. */
  ended(): Promise<void>;
}

/** Waits for the first message of a stream: errors before it are the call's own. */
export async function openStream<T>(stream: AsyncIterable<T>): Promise<Opened<T>> {
  const iterator = stream[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done === true) throw new EngineError("internal", "the service gave an empty answer");
  const rest: AsyncIterable<T> = { [Symbol.asyncIterator]: () => iterator };
  return {
    first: first.value,
    rest,
    async ended() {
      for (;;) {
        const next = await iterator.next();
        if (next.done === true) return;
      }
    },
  };
}

/** Writes, and waits while the client does not read. Resolves at once when it is gone. */
export function write(response: ServerResponse, text: string): Promise<void> | undefined {
  if (response.write(text) || response.destroyed) return undefined;
  return drained(response);
}

/**
 * Answers with the bytes of a streaming call: the head at once, then the data, cut off when the call
 * fails, since a tar that merely ends looks complete.
 */
export async function sendData(
  response: ServerResponse,
  data: OutputConnection,
  ended: () => Promise<void>,
): Promise<void> {
  await Promise.all([copyOut(data, response), ended()]);
  response.end();
}
