/**
 * gRPC calls over a connection that the peer opened: in a session the builder is the client of whoever
 * connected. No gRPC library takes a given connection and hands out messages without a stack of streams
 * for each; of a context with thousands of files every message counts, so the framing is done here, over
 * Node's HTTP/2.
 */
import http2 from "node:http2";
import type { Duplex } from "node:stream";
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { EngineError, unavailable } from "@gantry/errors";
import { ClientCall } from "./client-call.ts";

/** Metadata of a call: names in lower case, several values of a name in order. */
export type CallMetadata = Readonly<Record<string, string | readonly string[]>>;

/** Options of one call. */
export interface ConnectionCallOptions {
  readonly metadata?: CallMetadata;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds. Default: no limit. */
  readonly timeoutMs?: number;
}

/** A method's path on the wire. */
export const methodPathOf = (method: DescMethod): string =>
  `/${method.parent.typeName}/${method.name}`;

/** What the peer may send before we have read it, for a stream and for all. */
const streamWindowBytes = 1024 * 1024;
const connectionWindowBytes = 8 * 1024 * 1024;

/** A connection whose peer serves. */
export class ClientConnection {
  readonly #session: http2.ClientHttp2Session;
  readonly closed: Promise<void>;

  constructor(socket: Duplex) {
    this.#session = http2.connect("http://session", {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: streamWindowBytes },
      maxSessionMemory: 64,
    });
    this.#session.once("connect", () => {
      this.#session.setLocalWindowSize(connectionWindowBytes);
    });
    // Its users see a broken connection by their calls.
    this.#session.on("error", () => undefined);
    this.closed = new Promise((resolve) => {
      this.#session.once("close", () => {
        resolve();
      });
      // A peer that closes its half is gone: nobody else will answer.
      socket.once("end", () => {
        this.#session.destroy();
      });
    });
  }

  /** Whether calls can be made. */
  get isOpen(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  /** Begins a call whose messages the caller encodes. Throws unavailable when the connection is gone. */
  open(path: string, options: ConnectionCallOptions = {}): ClientCall {
    if (!this.isOpen) throw unavailable("the session's connection is closed");
    const { timeoutMs } = options;
    const stream = this.#session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      "user-agent": "gantry-build-service",
      ...(timeoutMs !== undefined && { "grpc-timeout": `${String(timeoutMs)}m` }),
      ...(options.metadata as http2.OutgoingHttpHeaders | undefined),
    });
    const call = new ClientCall(stream, path);
    const deadline = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
    call.abortOn(options.signal, "canceled");
    call.abortOn(deadline, "deadline_exceeded");
    return call;
  }

  /** One request, one response. Throws EngineErrors of the peer's kind. */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options: ConnectionCallOptions = {},
  ): Promise<MessageShape<O>> {
    const call = this.open(methodPathOf(method), options);
    await call.write(toBinary(method.input, create(method.input, request)));
    call.end();
    let answer: Uint8Array | undefined;
    await call.receive((message) => {
      answer = message;
      return undefined;
    });
    if (answer === undefined) throw new EngineError("internal", `${method.name} gave no answer`);
    return fromBinary(method.output, answer);
  }

  /** Ends the connection and all its calls. */
  destroy(): void {
    this.#session.destroy();
  }
}
