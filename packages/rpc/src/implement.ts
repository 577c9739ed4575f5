import type { DescMethod, DescService, Message } from "@bufbuild/protobuf";
import { notImplemented, resolveKind } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import type {
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  ServerDuplexStream,
  ServerReadableStream,
  ServerWritableStream,
  UntypedHandleCall,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { describeMethod, methodPath } from "./method-definition.ts";
import type { CallContext, Handlers } from "./service-types.ts";
import { toStatus } from "./wire-error.ts";

/** A service with its handlers, ready for serveGrpc. */
export interface Implementation {
  readonly service: DescService;
  /** Makes grpc-js handlers; faults of ours are logged here, once. */
  bind(logger: Logger): UntypedServiceImplementation;
  /** The unary methods over encoded messages, by their full paths; faults of ours are logged here, once. */
  bindEncoded(logger: Logger): ReadonlyMap<string, EncodedHandler>;
}

/** A unary method over encoded messages. */
export type EncodedHandler = (request: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>;

/** Pairs a service with its handlers. */
export function implement<S extends DescService>(
  service: S,
  handlers: Handlers<S>,
): Implementation {
  return {
    service,
    bind(logger) {
      const bound: UntypedServiceImplementation = {};
      for (const method of service.methods) {
        const handler = (handlers as Record<string, AnyHandler | undefined>)[method.localName];
        bound[method.localName] = bindMethod(
          method,
          handler?.bind(handlers) ?? missing(method),
          logger,
        );
      }
      return bound;
    },
    bindEncoded(logger) {
      const bound = new Map<string, EncodedHandler>();
      for (const method of service.methods) {
        if (method.methodKind !== "unary") continue;
        const handler = (handlers as Record<string, AnyHandler | undefined>)[method.localName];
        const unary = (handler?.bind(handlers) ?? missing(method)) as UnaryHandler;
        bound.set(methodPath(method), encodedHandler(method, unary, logger));
      }
      return bound;
    },
  };
}

function encodedHandler(method: DescMethod, handler: UnaryHandler, logger: Logger): EncodedHandler {
  const { requestDeserialize, responseSerialize } = describeMethod(method);
  const path = methodPath(method);
  return async (request, signal) => {
    try {
      const message = requestDeserialize(
        Buffer.from(request.buffer, request.byteOffset, request.byteLength),
      );
      return responseSerialize(await handler(message, { signal, method: path }));
    } catch (error) {
      logFailure(logger, method, error);
      throw error;
    }
  };
}

// The generic types above hold for users; inside, all methods look alike.
// biome-ignore lint: one shape for four kinds of handler
type AnyHandler = (input: never, context: CallContext) => unknown;

function missing(method: DescMethod): AnyHandler {
  return () => {
    throw notImplemented(`${method.name} is not implemented`);
  };
}

/** The part of grpc-js's server calls that cancellation needs. */
interface Cancellable {
  readonly cancelled: boolean;
  on(event: "cancelled", listener: () => void): unknown;
}

function openContext(call: Cancellable, method: DescMethod): CallContext {
  const controller = new AbortController();
  const abort = (): void => {
    controller.abort();
  };
  if (call.cancelled) abort();
  else call.on("cancelled", abort);
  return { signal: controller.signal, method: methodPath(method) };
}

function bindMethod(method: DescMethod, handler: AnyHandler, logger: Logger): UntypedHandleCall {
  const log = (error: unknown): void => {
    logFailure(logger, method, error);
  };
  switch (method.methodKind) {
    case "unary":
      return bindUnary(method, handler as UnaryHandler, log);
    case "server_streaming":
      return bindServerStreaming(method, handler as ServerStreamingHandler, log);
    case "client_streaming":
      return bindClientStreaming(method, handler as ClientStreamingHandler, log);
    case "bidi_streaming":
      return bindBidi(method, handler as BidiHandler, log);
  }
}

type UnaryHandler = (request: Message, context: CallContext) => Promise<Message>;
type ServerStreamingHandler = (request: Message, context: CallContext) => AsyncIterable<Message>;
type ClientStreamingHandler = (
  requests: AsyncIterable<Message>,
  context: CallContext,
) => Promise<Message>;
type BidiHandler = (
  requests: AsyncIterable<Message>,
  context: CallContext,
) => AsyncIterable<Message>;
type LogFailure = (error: unknown) => void;

function logFailure(logger: Logger, method: DescMethod, error: unknown): void {
  const kind = resolveKind(error);
  const fields = { method: methodPath(method), kind, err: error };
  if (kind === "internal" || kind === "data_loss") logger.error(fields, "call failed");
  else logger.debug(fields, "call refused");
}

/** Handlers may throw before their first await: both ways end here. */
function settle(
  run: () => Promise<Message>,
  callback: (error: ReturnType<typeof toStatus> | null, response?: Message) => void,
  log: LogFailure,
): void {
  Promise.try(run).then(
    (response) => {
      callback(null, response);
    },
    (error: unknown) => {
      log(error);
      callback(toStatus(error));
    },
  );
}

function bindUnary(
  method: DescMethod,
  handler: UnaryHandler,
  log: LogFailure,
): handleUnaryCall<Message, Message> {
  return (call, callback) => {
    const context = openContext(call, method);
    settle(() => handler(call.request, context), callback, log);
  };
}

function bindClientStreaming(
  method: DescMethod,
  handler: ClientStreamingHandler,
  log: LogFailure,
): handleClientStreamingCall<Message, Message> {
  return (call, callback) => {
    const context = openContext(call, method);
    settle(() => handler(requestsOf(call), context), callback, log);
  };
}

function bindServerStreaming(
  method: DescMethod,
  handler: ServerStreamingHandler,
  log: LogFailure,
): handleServerStreamingCall<Message, Message> {
  return (call) => {
    const context = openContext(call, method);
    respond(call, () => handler(call.request, context), context.signal, log);
  };
}

function bindBidi(
  method: DescMethod,
  handler: BidiHandler,
  log: LogFailure,
): handleBidiStreamingCall<Message, Message> {
  return (call) => {
    const context = openContext(call, method);
    respond(call, () => handler(requestsOf(call), context), context.signal, log);
  };
}

/** Requests as they come. Leaving the loop early must not end the response: no destroy. */
function requestsOf(
  call: ServerReadableStream<Message, Message> | ServerDuplexStream<Message, Message>,
): AsyncIterable<Message> {
  return {
    [Symbol.asyncIterator]: () => call.iterator({ destroyOnReturn: false }),
  };
}

type ResponseStream = ServerWritableStream<Message, Message> | ServerDuplexStream<Message, Message>;

function respond(
  call: ResponseStream,
  start: () => AsyncIterable<Message>,
  signal: AbortSignal,
  log: LogFailure,
): void {
  // A peer that goes away is told of by `cancelled`; without a listener the same fault would be thrown.
  call.on("error", () => undefined);
  Promise.try(() => pump(call, start(), signal)).then(
    () => {
      call.end();
    },
    (error: unknown) => {
      if (!signal.aborted) log(error);
      call.emit("error", toStatus(error));
    },
  );
}

/** Writes responses one by one, waiting while the peer's window is full. */
async function pump(
  call: ResponseStream,
  responses: AsyncIterable<Message>,
  signal: AbortSignal,
): Promise<void> {
  const iterator = responses[Symbol.asyncIterator]();
  const aborted = onceAborted(signal);
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), aborted.promise]);
      if (next === "aborted" || next.done === true) return;
      if (!call.write(next.value)) await Promise.race([drained(call), aborted.promise]);
    }
  } finally {
    aborted[Symbol.dispose]();
    // Not awaited: a generator that is waiting for something else answers only when that comes.
    Promise.try(() => iterator.return?.()).catch(() => undefined);
  }
}

/** One promise for the whole stream: a race against a new one per message would pile up listeners. */
function onceAborted(signal: AbortSignal): Disposable & { promise: Promise<"aborted"> } {
  const { promise, resolve } = Promise.withResolvers<"aborted">();
  const listener = (): void => {
    resolve("aborted");
  };
  if (signal.aborted) listener();
  else signal.addEventListener("abort", listener, { once: true });
  return {
    promise,
    [Symbol.dispose]() {
      signal.removeEventListener("abort", listener);
    },
  };
}

function drained(call: ResponseStream): Promise<void> {
  return new Promise((resolve) => {
    call.once("drain", resolve);
  });
}
