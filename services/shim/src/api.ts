/**
 * The face of the shim's brain. Both forms have it: loaded (`createShim`) and served over
 * gRPC (`main.ts`, reached with `channel.client(ShimService)` of @gantry/rpc). Requests are
 * the init shapes of the messages, responses the messages themselves; contracts and errors
 * of each method stand in proto/gantry/shim/v1/shim_service.proto.
 */
import type { MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { ShimService, WatchResponse } from "@gantry/proto/shim";

/** What a caller may say about one call. */
export interface CallOptions {
  /** Ends the waiting; what was begun in the kernel is finished or undone by the brain itself. */
  readonly signal?: AbortSignal;
}

type Methods = (typeof ShimService)["method"];

type UnaryName = {
  [Name in keyof Methods]: Methods[Name]["methodKind"] extends "unary" ? Name : never;
}[keyof Methods];

type Unary<Name extends UnaryName> = (
  request: MessageInitShape<Methods[Name]["input"]>,
  options?: CallOptions,
) => Promise<MessageShape<Methods[Name]["output"]>>;

/** Every unary method of ShimService. */
export type ShimCalls = { readonly [Name in UnaryName]: Unary<Name> };

/** The brain: all of ShimService, and a way to let go of it. */
export interface ShimApi extends ShimCalls {
  /**
   * Events of every container of this brain from this call on, until the signal aborts or
   * the brain is closed. Each launch gives exactly one `exited`, also when its shim process
   * was killed (then with code 137). A reader that is slow loses nothing: events queue.
   */
  watch(request?: object, options?: CallOptions): AsyncIterable<WatchResponse>;
  /**
   * Lets go of every shim process without touching any container; they run on and can be
   * adopted again. Ends all watches.
   */
  close(): Promise<void>;
}
