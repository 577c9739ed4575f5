/** Ends of calls by the signals of their callers. */
import { EngineError, resolveKind } from "@gantry/errors";

/** Throws canceled, or deadline_exceeded for a time-out signal. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal, signal.reason);
}

/** What a call that its signal ended fails with. */
export function abortError(signal: AbortSignal, cause: unknown): EngineError {
  const late = resolveKind(signal.reason) === "deadline_exceeded";
  return late
    ? new EngineError("deadline_exceeded", "the call took too long", { cause })
    : new EngineError("canceled", "the call was canceled", { cause });
}
