/** Unary calls over ttrpc, beside the gRPC server that has the same handlers. */
import net from "node:net";
import { EngineError } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import type { EncodedHandler } from "../implement.ts";
import { maxMessageBytes } from "../method-definition.ts";
import {
  listen,
  placeSocket,
  removeSocket,
  type SocketAccess,
  socketInode,
} from "../socket-file.ts";
import { encodeStatus } from "../wire-error.ts";
import {
  decodeRequest,
  encodeFrame,
  encodeResponse,
  type Frame,
  FrameReader,
  frameType,
} from "./frames.ts";

/** Calls that one connection may have open. */
const maxOpenCalls = 4096;

/** Options of serveTtrpc. */
export interface TtrpcServerOptions {
  readonly socketPath: string;
  /** By the full path of the method, `/service/Method`. */
  readonly handlers: ReadonlyMap<string, EncodedHandler>;
  readonly logger: Logger;
  readonly access: SocketAccess;
}

/** A running server. */
export interface TtrpcServer {
  /** No new calls; running ones get `graceMs` to end, and are cut then. Removes the socket. */
  close(graceMs: number): Promise<void>;
}

/** Starts a server on a Unix socket. Resolves when it accepts calls. */
export async function serveTtrpc(options: TtrpcServerOptions): Promise<TtrpcServer> {
  const { socketPath, access } = options;
  const connections = new Set<Connection>();
  const server = net.createServer((socket) => {
    const connection = new Connection(socket, options);
    connections.add(connection);
    socket.once("close", () => connections.delete(connection));
  });
  await placeSocket(socketPath, access, (path) => listen(server, path));
  const inode = await socketInode(socketPath);
  return {
    async close(graceMs) {
      await removeSocket(socketPath, inode);
      const ended = new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
      for (const connection of connections) connection.end();
      const late = setTimeout(() => {
        for (const connection of connections) connection.cut();
      }, graceMs);
      await ended;
      clearTimeout(late);
    },
  };
}

class Connection {
  readonly #socket: net.Socket;
  readonly #options: TtrpcServerOptions;
  readonly #calls = new Map<number, AbortController>();
  #ending = false;

  constructor(socket: net.Socket, options: TtrpcServerOptions) {
    this.#socket = socket;
    this.#options = options;
    const reader = new FrameReader();
    socket.on("data", (chunk: Buffer) => {
      try {
        for (const frame of reader.take(chunk)) this.#take(frame);
      } catch (error) {
        options.logger.warn({ err: error }, "a ttrpc connection is cut");
        socket.destroy();
      }
    });
    // Who writes calls faster than it reads answers waits.
    socket.on("drain", () => socket.resume());
    socket.on("error", () => undefined);
    socket.once("close", () => {
      for (const call of this.#calls.values()) call.abort();
    });
  }

  /** Takes no more calls, and closes when those that run have ended. */
  end(): void {
    this.#ending = true;
    this.#send(frameType.goAway, 0);
    this.#endIfIdle();
  }

  cut(): void {
    this.#socket.destroy();
  }

  #endIfIdle(): void {
    if (this.#ending && this.#calls.size === 0) this.#socket.end();
  }

  #take({ type, call, body }: Frame): void {
    if (type === frameType.cancel) this.#calls.get(call)?.abort();
    if (type !== frameType.request) return;
    if (this.#ending) this.#send(frameType.refused, call);
    else void this.#run(call, body);
  }

  async #run(call: number, body: Buffer): Promise<void> {
    const controller = new AbortController();
    let answer: Uint8Array;
    try {
      if (this.#calls.size >= maxOpenCalls || this.#calls.has(call)) {
        throw new EngineError("resource_exhausted", "too many calls on one connection");
      }
      this.#calls.set(call, controller);
      const { service, method, payload } = decodeRequest(body);
      const handler = this.#options.handlers.get(`/${service}/${method}`);
      if (handler === undefined) {
        throw new EngineError("not_implemented", `${service} has no unary method ${method}`);
      }
      const response = await handler(payload, controller.signal);
      if (response.length > maxMessageBytes) {
        throw new EngineError("resource_exhausted", `the answer of ${method} is too long`);
      }
      answer = encodeResponse({ status: undefined, payload: response });
    } catch (error) {
      answer = encodeResponse({ status: encodeStatus(error), payload: new Uint8Array() });
    }
    if (this.#calls.get(call) === controller) this.#calls.delete(call);
    this.#send(frameType.response, call, answer);
    this.#endIfIdle();
  }

  #send(type: number, call: number, body?: Uint8Array): void {
    if (!this.#socket.writable) return;
    if (!this.#socket.write(encodeFrame(type, call, body))) this.#socket.pause();
  }
}
