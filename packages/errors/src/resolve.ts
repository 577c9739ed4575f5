import { EngineError, isEngineError } from "./engine-error.ts";
import type { ErrorKind } from "./kinds.ts";
import { systemCallText } from "./system-call.ts";

/** A cause chain longer than this is a cycle. */
const maxDepth = 32;

/** What went wrong first, where disposing of resources (`using`) failed as well. */
function origin(error: unknown): unknown {
  let current = error;
  for (let depth = 0; depth < maxDepth && current instanceof SuppressedError; depth++) {
    current = current.suppressed;
  }
  return current;
}

/** The error and its causes, outermost first. */
function* chain(error: unknown): Generator {
  let current = origin(error);
  for (let depth = 0; depth < maxDepth && current !== undefined && current !== null; depth++) {
    yield current;
    current = current instanceof Error ? origin(current.cause) : undefined;
  }
}

/**
 * The kind of any caught value. The outermost EngineError of the cause chain wins, so that a caller
 * can re-class what came from below; else an aborted signal or a time-out; else `internal`. An errno
 * that nobody translated (errnoKind) is internal too: a missing file of ours is not the client's 404.
 */
export function resolveKind(error: unknown): ErrorKind {
  for (const link of chain(error)) {
    if (isEngineError(link)) return link.kind;
  }
  for (const link of chain(error)) {
    const kind = foreignKind(link);
    if (kind !== undefined) return kind;
  }
  return "internal";
}

function foreignKind(error: unknown): ErrorKind | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error.name === "TimeoutError") return "deadline_exceeded";
  if (error.name === "AbortError") return "canceled";
  return undefined;
}

/**
 * The single door for caught values at an edge: any value as an EngineError, whose message is
 * safe to send. An EngineError comes back as it is; a foreign one keeps its message (of a system call: in Go's words) and is
 * the cause.
 */
export function toEngineError(thrown: unknown): EngineError {
  const error = origin(thrown);
  if (isEngineError(error)) return error;
  const message = error instanceof Error ? (systemCallText(error) ?? error.message) : String(error);
  for (const link of chain(error)) {
    if (isEngineError(link)) {
      return new EngineError(link.kind, message, {
        cause: error,
        details: link.details,
      });
    }
  }
  return new EngineError(resolveKind(error), message, { cause: error });
}
