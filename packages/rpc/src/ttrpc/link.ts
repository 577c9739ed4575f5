/** Unary calls over ttrpc to a peer that serves it. */
import net from "node:net";
import { unavailable } from "@gantry/errors";
import {
  decodeResponse,
  encodeFrame,
  encodeRequest,
  type Frame,
  FrameReader,
  frameType,
  type Request,
  type Response,
  ttrpcSocketOf,
} from "./frames.ts";

/** The peer is about to end and has not begun the call, which may be made again. */
export const notBegun = Symbol("not begun");

/** One call under way. */
export interface LinkCall {
  /** How the peer answered, or `notBegun`. Rejects with unavailable when the peer went away meanwhile. */
  readonly answer: Promise<Response | typeof notBegun>;
  /** Tells the peer that nobody waits any more. */
  cancel(): void;
}

/** The way to a peer. A connection that was lost is made anew when it is wanted. */
export class TtrpcLink {
  readonly #path: string;
  readonly #peer: string;
  readonly #open = new Set<Connection>();
  #current: Connection | undefined;
  #connecting: Promise<void> | undefined;
  #closed = false;

  /** @param socketPath of the peer's gRPC */
  constructor(socketPath: string, peer: string) {
    this.#path = ttrpcSocketOf(socketPath);
    this.#peer = peer;
  }

  /** Whether a call can be made now. When not, a connection is begun for calls to come. */
  get isConnected(): boolean {
    if (this.#current !== undefined) return true;
    void this.connect();
    return false;
  }

  /** Begins a call. Throws unavailable when nothing is connected. */
  call(request: Request): LinkCall {
    if (this.#current === undefined) throw unavailable(`${this.#peer} is not available`);
    return this.#current.call(request);
  }

  /** Resolves when there is a connection, or was none to have. */
  connect(): Promise<void> {
    if (this.#current !== undefined || this.#closed) return Promise.resolve();
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  /** Running calls fail with `unavailable`. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#open) connection.cut();
  }

  #connect(): Promise<void> {
    return new Promise((resolve) => {
      const socket = net.connect(this.#path);
      socket.once("error", () => {
        resolve();
      });
      socket.once("connect", () => {
        this.#take(socket);
        resolve();
      });
    });
  }

  #take(socket: net.Socket): void {
    if (this.#closed) {
      socket.destroy();
      return;
    }
    const connection = new Connection(socket, this.#peer, () => {
      if (this.#current === connection) this.#current = undefined;
    });
    socket.once("close", () => this.#open.delete(connection));
    this.#open.add(connection);
    this.#current = connection;
  }
}

class Connection {
  readonly #socket: net.Socket;
  readonly #peer: string;
  /** Called when no more calls can be made here. */
  readonly #onLeave: () => void;
  readonly #waiting = new Map<number, PromiseWithResolvers<Response | typeof notBegun>>();
  #lastCall = -1;

  constructor(socket: net.Socket, peer: string, onLeave: () => void) {
    this.#socket = socket;
    this.#peer = peer;
    this.#onLeave = onLeave;
    const reader = new FrameReader();
    socket.on("data", (chunk: Buffer) => {
      try {
        for (const frame of reader.take(chunk)) this.#take(frame);
      } catch {
        // Not ttrpc: for the callers that is a peer that does not answer.
        socket.destroy();
      }
    });
    socket.on("error", () => undefined);
    socket.once("close", () => {
      this.#lost();
    });
  }

  call(request: Request): LinkCall {
    this.#lastCall += 2;
    const call = this.#lastCall;
    const waiter = Promise.withResolvers<Response | typeof notBegun>();
    this.#waiting.set(call, waiter);
    this.#socket.write(encodeFrame(frameType.request, call, encodeRequest(request)));
    // Long before the numbers run out another connection begins with 1 again.
    if (call >= maxCall) this.#onLeave();
    return {
      answer: waiter.promise,
      cancel: () => {
        if (this.#waiting.delete(call)) this.#socket.write(encodeFrame(frameType.cancel, call));
      },
    };
  }

  cut(): void {
    this.#socket.destroy();
  }

  #take({ type, call, body }: Frame): void {
    if (type === frameType.goAway) this.#onLeave();
    const waiter = this.#waiting.get(call);
    if (waiter === undefined) return;
    this.#waiting.delete(call);
    waiter.resolve(type === frameType.refused ? notBegun : decodeResponse(body));
  }

  #lost(): void {
    this.#onLeave();
    for (const waiter of this.#waiting.values()) {
      waiter.reject(unavailable(`${this.#peer} is not available`));
    }
    this.#waiting.clear();
  }
}

const maxCall = 0x7fff_0000;
