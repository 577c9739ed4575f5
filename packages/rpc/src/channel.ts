import path from "node:path";
import type {
  DescMessage,
  DescMethod,
  DescMethodUnary,
  DescService,
  Message,
  MessageInitShape,
} from "@bufbuild/protobuf";
import type { EngineError } from "@gantry/errors";
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
  type CallOptions as WireOptions,
} from "@grpc/grpc-js";
import { abortError, throwIfAborted } from "./abort.ts";
import { splitRows } from "./encoded-rows.ts";
import { describeMethod, maxMessageBytes, type WireMethod } from "./method-definition.ts";
import { Presence } from "./presence.ts";
import type { CallOptions, ServiceClient } from "./service-types.ts";
import { TtrpcLink } from "./ttrpc/link.ts";
import { type TtrpcCaller, ttrpcCaller } from "./ttrpc/unary.ts";
import { fromServiceError } from "./wire-error.ts";

/** One warm connection to a peer, shared by the clients of all its services. */
export interface Channel extends Disposable {
  /** A typed client. Cheap: make one per service and keep it. */
  client<S extends DescService>(service: S): ServiceClient<S>;
  /** Calls a method that answers with a list (one repeated message field), and leaves its rows encoded. */
  rows<I extends DescMessage>(method: DescMethodUnary<I>): RowsCaller<I>;
  /** Resolves when the peer accepts calls; throws `unavailable` after `timeoutMs`. */
  ready(timeoutMs: number): Promise<void>;
  /** Whether there is a connection, as far as is known: a peer that has just been killed may still seem to be there. */
  readonly isReady: boolean;
  /** Ends the connection; running calls fail with `canceled` or `unavailable`. */
  close(): void;
}

/** Resolves with the encoded rows of the answer, in order. Throws EngineErrors. */
export type RowsCaller<I extends DescMessage> = (
  request: MessageInitShape<I>,
  options?: CallOptions,
) => Promise<readonly Uint8Array[]>;

/** Peers are local and restart within moments: try again quickly, and keep trying. */
const channelOptions = {
  "grpc.initial_reconnect_backoff_ms": 20,
  "grpc.min_reconnect_backoff_ms": 20,
  "grpc.max_reconnect_backoff_ms": 200,
  "grpc.max_receive_message_length": maxMessageBytes,
  "grpc.max_send_message_length": maxMessageBytes,
  "grpc.enable_channelz": 0,
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
};

/** Options of openChannel. */
export interface ChannelOptions {
  /**
   * A call that finds the peer away waits so long for it to come back, before it fails with
   * `unavailable`: for callers whose own caller should not notice that a peer is restarted. Default 0.
   */
  readonly patienceMs?: number;
  /**
   * A peer that was there less than that long ago is being started again, and calls wait for the rest of that time,
   * where that is longer than their patience. Default 0.
   */
  readonly restartMs?: number;
  /**
   * Unary calls take the peer's ttrpc socket while there is a connection to it. For peers that are called
   * often; everything else, and everything while there is none, goes by gRPC. Default false.
   */
  readonly ttrpc?: boolean;
  /**
   * The peer runs only while it is wanted: nothing is connected before the first call or `ready`, where other
   * channels connect at once and go on trying. Default false.
   */
  readonly onDemand?: boolean;
}

/** Opens a channel to a Unix socket. The connection is made in the background. */
export function openChannel(socketPath: string, options: ChannelOptions = {}): Channel {
  const wire = new Client(`unix:${socketPath}`, credentials.createInsecure(), channelOptions);
  const connects = options.onDemand !== true;
  wire.getChannel().getConnectivityState(connects);
  const peer = path.basename(socketPath, ".sock");
  const link = options.ttrpc === true ? new TtrpcLink(socketPath, peer) : undefined;
  if (connects) void link?.connect();
  const close = (): void => {
    wire.close();
    link?.close();
  };
  const { patienceMs = 0, restartMs = 0 } = options;
  const presence = new Presence(wire, peer, { patienceMs, restartMs });
  const target = { wire, peer, presence, link };
  return {
    client: (service) => clientOf(target, service),
    rows: (method) => rowsCaller(target, method),
    async ready(timeoutMs) {
      await presence.until(Date.now() + timeoutMs);
      await link?.connect();
    },
    get isReady() {
      return wire.getChannel().getConnectivityState(connects) === connectivityState.READY;
    },
    close,
    [Symbol.dispose]: close,
  };
}

/** The other side of a channel. */
interface Peer {
  readonly wire: Client;
  readonly peer: string;
  readonly presence: Presence;
  readonly link: TtrpcLink | undefined;
}

function clientOf<S extends DescService>(peer: Peer, service: S): ServiceClient<S> {
  const entries = service.methods.map((method) => [
    method.localName,
    callerOf(new Calls(peer, describeMethod(method)), method),
  ]);
  return Object.fromEntries(entries) as ServiceClient<S>;
}

function rowsCaller<I extends DescMessage>(peer: Peer, method: DescMethodUnary<I>): RowsCaller<I> {
  const calls = new Calls(peer, { ...describeMethod(method), responseDeserialize: undecoded });
  return async (request, options) => {
    const answer = (await calls.unary(request as Message, options)) as Undecoded;
    return splitRows(method.output, answer.bytes);
  };
}

/** An answer as it came. */
interface Undecoded extends Message {
  readonly bytes: Buffer;
}

const undecoded = (bytes: Buffer): Undecoded => ({ $typeName: "", bytes });

function callerOf(calls: Calls, method: DescMethod): unknown {
  switch (method.methodKind) {
    case "unary":
      return calls.unary.bind(calls);
    case "server_streaming":
      return calls.serverStreaming.bind(calls);
    case "client_streaming":
      return calls.clientStreaming.bind(calls);
    case "bidi_streaming":
      return calls.bidi.bind(calls);
  }
}

/** The calls of one method. */
class Calls {
  readonly #wire: Client;
  readonly #method: WireMethod;
  readonly #peer: string;
  readonly #presence: Presence;
  readonly #ttrpc: TtrpcCaller | undefined;

  constructor({ wire, peer, presence, link }: Peer, method: WireMethod) {
    this.#wire = wire;
    this.#ttrpc = link === undefined ? undefined : ttrpcCaller(link, method, peer);
    this.#method = method;
    this.#peer = peer;
    this.#presence = presence;
  }

  async unary(request: Message, options: CallOptions = {}): Promise<Message> {
    const answer = await this.#ttrpc?.(request, options);
    if (answer !== undefined) return answer;
    await this.#presence.forCall();
    const { path, requestSerialize, responseDeserialize } = this.#method;
    return this.#answer(options, (callback) =>
      this.#wire.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        new Metadata(),
        wireOptions(options),
        callback,
      ),
    );
  }

  async clientStreaming(
    requests: AsyncIterable<Message>,
    options: CallOptions = {},
  ): Promise<Message> {
    await this.#presence.forCall();
    const { path, requestSerialize, responseDeserialize } = this.#method;
    const source = openSource();
    try {
      return await this.#answer(options, (callback) => {
        const call = this.#wire.makeClientStreamRequest(
          path,
          requestSerialize,
          responseDeserialize,
          new Metadata(),
          wireOptions(options),
          callback,
        );
        source.start(call, requests);
        return call;
      });
    } catch (error) {
      throw source.failure(error);
    } finally {
      source.stop();
    }
  }

  async *serverStreaming(request: Message, options: CallOptions = {}): AsyncGenerator<Message> {
    await this.#presence.forCall();
    throwIfAborted(options.signal);
    const { path, requestSerialize, responseDeserialize } = this.#method;
    const call = this.#wire.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      new Metadata(),
      wireOptions(options),
    );
    yield* this.#responses(call, options);
  }

  async *bidi(
    requests: AsyncIterable<Message>,
    options: CallOptions = {},
  ): AsyncGenerator<Message> {
    await this.#presence.forCall();
    throwIfAborted(options.signal);
    const { path, requestSerialize, responseDeserialize } = this.#method;
    const call = this.#wire.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      new Metadata(),
      wireOptions(options),
    );
    const source = openSource();
    source.start(call, requests);
    try {
      yield* this.#responses(call, options);
    } catch (error) {
      throw source.failure(error);
    } finally {
      source.stop();
    }
  }

  #answer(
    options: CallOptions,
    start: (callback: (error: ServiceError | null, response?: Message) => void) => {
      cancel(): void;
    },
  ): Promise<Message> {
    return new Promise((resolve, reject) => {
      throwIfAborted(options.signal);
      const call = start((error, response) => {
        unlink();
        if (error !== null) reject(this.#translate(error, options.signal));
        else if (response !== undefined) resolve(response);
      });
      const unlink = linkSignal(call, options.signal);
    });
  }

  async *#responses(
    call: ClientReadableStream<Message> | ClientDuplexStream<Message, Message>,
    options: CallOptions,
  ): AsyncGenerator<Message> {
    // The loop below sees the error; after it, a late one (our own cancel) has nobody to go to.
    call.on("error", () => undefined);
    const unlink = linkSignal(call, options.signal);
    try {
      for await (const message of call) yield message as Message;
    } catch (error) {
      throw isServiceError(error) ? this.#translate(error, options.signal) : error;
    } finally {
      unlink();
      call.cancel();
    }
  }

  #translate(error: ServiceError, signal: AbortSignal | undefined): EngineError {
    return signal?.aborted === true
      ? abortError(signal, error)
      : fromServiceError(error, this.#peer);
  }
}

/** Sends a caller's requests, and remembers why it could not read on. */
interface RequestSource {
  start(
    call: ClientWritableStream<Message> | ClientDuplexStream<Message, Message>,
    requests: AsyncIterable<Message>,
  ): void;
  /** The caller's own failure, if there was one, else the call's. */
  failure(callError: unknown): unknown;
  stop(): void;
}

function openSource(): RequestSource {
  const stopped = Promise.withResolvers<"stopped">();
  let failed: { readonly error: unknown } | undefined;
  return {
    start(call, requests) {
      sendAll(call, requests, stopped.promise).then(
        () => {
          call.end();
        },
        (error: unknown) => {
          failed = { error };
          call.cancel();
        },
      );
    },
    failure: (callError) => (failed === undefined ? callError : failed.error),
    stop() {
      stopped.resolve("stopped");
    },
  };
}

async function sendAll(
  call: ClientWritableStream<Message> | ClientDuplexStream<Message, Message>,
  requests: AsyncIterable<Message>,
  stopped: Promise<"stopped">,
): Promise<void> {
  const iterator = requests[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), stopped]);
      if (next === "stopped" || next.done === true) return;
      if (!call.write(next.value)) await Promise.race([drained(call), stopped]);
    }
  } finally {
    // Not awaited: a generator that is waiting for something else answers only when that comes.
    Promise.try(() => iterator.return?.()).catch(() => undefined);
  }
}

function drained(
  call: ClientWritableStream<Message> | ClientDuplexStream<Message, Message>,
): Promise<void> {
  return new Promise((resolve) => {
    call.once("drain", resolve);
  });
}

function wireOptions(options: CallOptions): WireOptions {
  return options.timeoutMs === undefined ? {} : { deadline: Date.now() + options.timeoutMs };
}

/** Cancels the call when the signal aborts; the result undoes the link. */
function linkSignal(call: { cancel(): void }, signal: AbortSignal | undefined): () => void {
  if (signal === undefined) return () => undefined;
  const cancel = (): void => {
    call.cancel();
  };
  signal.addEventListener("abort", cancel, { once: true });
  return () => {
    signal.removeEventListener("abort", cancel);
  };
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "details" in error && "metadata" in error;
}
