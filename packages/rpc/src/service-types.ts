import type {
  DescMethodBiDiStreaming,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";

/** What a handler knows of its call, beside the request. */
export interface CallContext {
  /**
   * Aborts when the caller cancels, goes away, or its deadline passes, and when the server is closed
   * by force. Clean-up must not use it.
   */
  readonly signal: AbortSignal;
  /** Full name, for logs: `/gantry.image.v1.ImageService/Pull`. */
  readonly method: string;
}

/** Options of one client call. */
export interface CallOptions {
  /** Cancels the call, which then fails with `canceled`, or `deadline_exceeded` for a time-out signal. */
  readonly signal?: AbortSignal | undefined;
  /** The call fails with `deadline_exceeded` after this time. Default: no limit. */
  readonly timeoutMs?: number | undefined;
}

/** A handler of one method, by its kind. */
export type Handler<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, context: CallContext) => Promise<MessageInitShape<O>>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageShape<I>, context: CallContext) => AsyncIterable<MessageInitShape<O>>
      : M extends DescMethodClientStreaming<infer I, infer O>
        ? (
            requests: AsyncIterable<MessageShape<I>>,
            context: CallContext,
          ) => Promise<MessageInitShape<O>>
        : M extends DescMethodBiDiStreaming<infer I, infer O>
          ? (
              requests: AsyncIterable<MessageShape<I>>,
              context: CallContext,
            ) => AsyncIterable<MessageInitShape<O>>
          : never;

/** The handlers of a service. A missing one answers `not_implemented`. */
export type Handlers<S extends DescService> = {
  [K in keyof S["method"]]?: Handler<S["method"][K]>;
};

/** A client's function for one method, by its kind. A streaming call begins at its first `next()`. */
export type ClientMethod<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageInitShape<I>, options?: CallOptions) => AsyncIterable<MessageShape<O>>
      : M extends DescMethodClientStreaming<infer I, infer O>
        ? (
            requests: AsyncIterable<MessageInitShape<I>>,
            options?: CallOptions,
          ) => Promise<MessageShape<O>>
        : M extends DescMethodBiDiStreaming<infer I, infer O>
          ? (
              requests: AsyncIterable<MessageInitShape<I>>,
              options?: CallOptions,
            ) => AsyncIterable<MessageShape<O>>
          : never;

/** A typed client of a service. All calls throw EngineErrors. */
export type ServiceClient<S extends DescService> = {
  readonly [K in keyof S["method"]]: ClientMethod<S["method"][K]>;
};
