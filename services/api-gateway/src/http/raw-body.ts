/**
 * Large bodies past JavaScript: Node's parser calls back for every chunk of a request, which for a `docker cp` of
 * many megabytes costs more than all copying. So the addon takes the body from the client's socket to the service's.
 *
 * Node gives a socket away only before it has read of a body. Whoever has looked at a container's path is likely to
 * send an archive next, so the bytes of such a connection are looked at before Node's parser has them: where a head
 * ends, the body begins. What fits no such case goes the ordinary way, with the same result.
 */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { finished } from "node:stream/promises";
import { type BodyOutcome, loadKernel } from "@gantry/native";
import { descriptorOf, startReading, stopReading, unixDescriptor } from "./descriptor.ts";
import { onHangup } from "./hijack/hangup.ts";
import { badRequest } from "./raw-answer.ts";

/** The bytes that are being parsed, of connections that are watched. */
const arriving = new WeakMap<Socket, Buffer>();
const watched = new WeakSet<Socket>();
const taken = new WeakMap<IncomingMessage, RawBody>();

/** Watches a request's connection for an upload to come. */
export function expectUpload({ socket }: IncomingMessage): void {
  if (watched.has(socket) || unixDescriptor(socket) === undefined) return;
  watched.add(socket);
  socket.prependListener("data", (chunk: Buffer) => {
    arriving.set(socket, chunk);
    process.nextTick(() => arriving.delete(socket));
  });
}

/**
 * Takes a request's body away from Node, which stops reading. To be called before the handler first waits.
 * Undefined: the body comes the ordinary way. The connection of a taken one ends with the answer.
 */
export function takeBody(request: IncomingMessage): RawBody | undefined {
  const { socket } = request;
  const bytes = arriving.get(socket);
  // A second request in the same bytes begins elsewhere.
  arriving.delete(socket);
  const length = lengthOf(request);
  if (bytes === undefined || length === undefined) return undefined;
  const start = startOfBody(request, bytes);
  if (start === undefined || isWhole(start, length) || !stopReading(socket)) return undefined;
  const body = new RawBody(socket, start, length);
  taken.set(request, body);
  return body;
}

/** The body that was taken from a request. */
export function takenBody(request: IncomingMessage): RawBody | undefined {
  return taken.get(request);
}

/** -1: in chunks. Undefined: none, or nothing that is known here. */
function lengthOf({ headers }: IncomingMessage): number | undefined {
  const coding = headers["transfer-encoding"];
  if (coding !== undefined) return coding.toLowerCase() === "chunked" ? -1 : undefined;
  const length = headers["content-length"] ?? "";
  return /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

/** What has come of the body; undefined when the head did not come with it in one piece. */
function startOfBody({ method, url }: IncomingMessage, bytes: Buffer): Buffer | undefined {
  const line = `${method ?? ""} ${url ?? ""} HTTP/1.1\r\n`;
  if (bytes.toString("latin1", 0, line.length) !== line) return undefined;
  const end = bytes.indexOf("\r\n\r\n");
  return end === -1 ? undefined : bytes.subarray(end + 4);
}

/** All has come with the head, or looks so: nothing is to be gained. */
function isWhole(start: Buffer, length: number): boolean {
  return length === -1 ? start.toString("latin1").endsWith("0\r\n\r\n") : start.length >= length;
}

/** A body that Node has not read. */
export class RawBody {
  /** Not read by anybody until the body is copied, or the rest of it thrown away. */
  readonly socket: Socket;
  readonly #start: Buffer;
  readonly #length: number;

  constructor(socket: Socket, start: Buffer, length: number) {
    this.socket = socket;
    this.#start = start;
    this.#length = length;
    // Node's parser has had its last bytes; the end of the connection is no error of theirs.
    socket.removeAllListeners("data");
    socket.removeAllListeners("end");
    socket.once("end", () => socket.destroy());
    // Nobody reads, so nobody else would notice.
    onHangup(socket, () => socket.destroy());
  }

  /** Copies it into a data socket and half-closes that; waits until the peer has closed, too. */
  async copyTo(data: Socket): Promise<void> {
    data.resume();
    // Behind what was written to it before.
    await new Promise((resolve) => data.write("", resolve));
    const { socket } = this;
    const from = descriptorOf(socket);
    const to = descriptorOf(data);
    if (from === undefined || to === undefined) data.destroy();
    else {
      const ended = (outcome: BodyOutcome): void => {
        this.#ended(outcome, data);
      };
      const relay = loadKernel().relayBody(from, to, this.#start, this.#length, ended);
      const close = (): void => {
        relay.close();
      };
      socket.once("close", close);
      data.once("close", close);
    }
    await finished(data, { readable: false });
  }

  #ended(outcome: BodyOutcome, data: Socket): void {
    const { socket } = this;
    switch (outcome) {
      case "whole":
        data.end();
        // Only to notice when the client goes.
        startReading(socket);
        break;
      case "cut":
        data.destroy();
        socket.destroy();
        break;
      case "malformed":
        data.destroy();
        socket.end(badRequest, () => socket.destroy());
        break;
      case "refused":
        // The service says why.
        data.destroy();
        break;
    }
  }

  /** Has the rest come as the socket's `data`. */
  discard(): void {
    startReading(this.socket);
    this.socket.resume();
  }
}
