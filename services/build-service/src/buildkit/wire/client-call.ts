/** One gRPC call on an HTTP/2 stream, in terms of encoded messages. */
import http2 from "node:http2";
import { EngineError, type ErrorKind, kindOfGrpcCode, unavailable } from "@gantry/errors";
import { drained, maxMessageBytes } from "@gantry/rpc";
import { FrameReader, frame } from "./frames.ts";

/** What takes messages. A promise holds the peer back until it resolves. */
export type MessageTaker = (message: Buffer) => Promise<void> | undefined;

/** A running call. */
export class ClientCall {
  readonly #stream: http2.ClientHttp2Stream;
  readonly #path: string;
  #headers: http2.IncomingHttpHeaders | undefined;
  #trailers: http2.IncomingHttpHeaders | undefined;
  #failure: EngineError | undefined;
  readonly #closed: Promise<void>;

  constructor(stream: http2.ClientHttp2Stream, path: string) {
    this.#stream = stream;
    this.#path = path;
    stream.on("response", (headers) => {
      this.#headers = headers;
    });
    stream.on("trailers", (trailers) => {
      this.#trailers = trailers;
    });
    stream.on("error", (error) => {
      this.#failure ??= unavailable(`${path}: ${error.message}`, { cause: error });
    });
    this.#closed = new Promise((resolve) => {
      stream.once("close", resolve);
    });
  }

  /** Ends the call with an error of this kind when the signal aborts. */
  abortOn(signal: AbortSignal | undefined, kind: ErrorKind): void {
    if (signal === undefined) return;
    const onAbort = (): void => {
      this.fail(new EngineError(kind, `${this.#path} was ended`, { cause: signal.reason }));
    };
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener("abort", onAbort, { once: true });
    this.#stream.once("close", () => {
      signal.removeEventListener("abort", onAbort);
    });
  }

  /** Sends a message; the promise is there when the peer reads too slowly. Never rejects: see receive. */
  write(message: Uint8Array): Promise<void> | undefined {
    const stream = this.#stream;
    if (stream.destroyed || stream.writableEnded || stream.write(frame(message))) return undefined;
    return drained(stream);
  }

  /** No more messages from us. */
  end(): void {
    if (!this.#stream.destroyed) this.#stream.end();
  }

  /** Gives up. */
  cancel(): void {
    this.fail(new EngineError("canceled", `${this.#path} was canceled`));
  }

  /** Whether nothing more can come or go. */
  get isClosed(): boolean {
    return this.#stream.destroyed;
  }

  /**
   * Gives every message to `take` until the peer ends the call. Throws what `take` throws, and the
   * peer's status when it isn't OK.
   */
  async receive(take: MessageTaker): Promise<void> {
    const reader = new FrameReader(maxMessageBytes);
    const intake = new Intake(this.#stream, reader, take, (error) => {
      this.fail(error);
    });
    this.#stream.on("data", (chunk: Buffer) => {
      reader.push(chunk);
      intake.drain();
    });
    await this.#closed;
    await intake.idle();
    if (this.#thrown !== undefined) throw toError(this.#thrown);
    this.#throwStatus(reader);
  }

  /** What a taker threw, as it was thrown. */
  #thrown: unknown;

  /** Ends the call; receive throws the error. */
  fail(error: unknown): void {
    this.#thrown ??= error;
    this.#stream.close(http2.constants.NGHTTP2_CANCEL);
    // A stream with unread data never closes by itself.
    this.#stream.resume();
  }

  #throwStatus(reader: FrameReader): void {
    const status = this.#trailers ?? this.#headers;
    const code = status?.["grpc-status"];
    if (code === undefined) {
      throw this.#failure ?? unavailable(`${this.#path}: the connection was lost`);
    }
    if (code === "0") {
      if (!reader.isEmpty) throw new EngineError("internal", `${this.#path}: cut message`);
      return;
    }
    throw new EngineError(kindOfGrpcCode(Number(code)), messageOf(status));
  }
}

const toError = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new Error(String(thrown));

function messageOf(status: http2.IncomingHttpHeaders | undefined): string {
  const text = status?.["grpc-message"];
  if (typeof text !== "string") return "the peer gave no reason";
  try {
    return decodeURIComponent(text);
  } catch {
    // Not escaped as it should be: better as it is than not at all.
    return text;
  }
}

/** Hands messages on, one after the other. */
class Intake {
  readonly #stream: http2.ClientHttp2Stream;
  readonly #reader: FrameReader;
  readonly #take: MessageTaker;
  readonly #fail: (error: unknown) => void;
  #busy: Promise<void> | undefined;

  constructor(
    stream: http2.ClientHttp2Stream,
    reader: FrameReader,
    take: MessageTaker,
    fail: (error: unknown) => void,
  ) {
    this.#stream = stream;
    this.#reader = reader;
    this.#take = take;
    this.#fail = fail;
  }

  drain(): void {
    if (this.#busy !== undefined) return;
    try {
      for (let next = this.#reader.next(); next !== undefined; next = this.#reader.next()) {
        const pending = this.#take(next);
        if (pending === undefined) continue;
        this.#stream.pause();
        this.#busy = pending.then(
          () => {
            this.#goOn();
          },
          (error: unknown) => {
            this.#busy = undefined;
            this.#fail(error);
          },
        );
        return;
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Resolves when nothing is in work. */
  async idle(): Promise<void> {
    while (this.#busy !== undefined) await this.#busy;
  }

  #goOn(): void {
    this.#busy = undefined;
    this.#stream.resume();
    this.drain();
  }
}
