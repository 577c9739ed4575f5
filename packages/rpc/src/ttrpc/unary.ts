/** One unary method over ttrpc. */
import type { Message } from "@bufbuild/protobuf";
import { EngineError } from "@gantry/errors";
import { abortError, throwIfAborted } from "../abort.ts";
import { maxMessageBytes, type WireMethod } from "../method-definition.ts";
import type { CallOptions } from "../service-types.ts";
import { fromStatus } from "../wire-error.ts";
import type { Response } from "./frames.ts";
import { type LinkCall, notBegun, type TtrpcLink } from "./link.ts";

/** Resolves with undefined when there is no connection, or the peer has not begun the call. Throws EngineErrors. */
export type TtrpcCaller = (request: Message, options: CallOptions) => Promise<Message | undefined>;

/** Calls a method of the peer. */
export function ttrpcCaller(link: TtrpcLink, wireMethod: WireMethod, peer: string): TtrpcCaller {
  const { path, requestSerialize, responseDeserialize } = wireMethod;
  const [, service = "", method = ""] = path.split("/");
  return async (request, options) => {
    if (!link.isConnected) return undefined;
    throwIfAborted(options.signal);
    const payload = requestSerialize(request);
    // gRPC says that it is too long.
    if (payload.length > maxMessageBytes) return undefined;
    const answer = await answerInTime(link.call({ service, method, payload }), options, peer);
    if (answer === notBegun) return undefined;
    if (answer.status !== undefined) throw fromStatus(answer.status);
    const { buffer, byteOffset, byteLength } = answer.payload;
    return responseDeserialize(Buffer.from(buffer, byteOffset, byteLength));
  };
}

async function answerInTime(
  call: LinkCall,
  { signal, timeoutMs }: CallOptions,
  peer: string,
): Promise<Response | typeof notBegun> {
  if (signal === undefined && timeoutMs === undefined) return await call.answer;
  const left = Promise.withResolvers<never>();
  // One who leaves when the answer has come is heard by nobody.
  left.promise.catch(() => undefined);
  const leave = (error: EngineError): void => {
    call.cancel();
    left.reject(error);
  };
  const onLate = (): void => {
    leave(new EngineError("deadline_exceeded", `${peer} did not answer in time`));
  };
  const onAbort = (): void => {
    if (signal !== undefined) leave(abortError(signal, signal.reason));
  };
  const timer = timeoutMs === undefined ? undefined : setTimeout(onLate, timeoutMs);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([call.answer, left.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}
