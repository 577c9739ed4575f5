import type { ErrorKind } from "./kinds.ts";

/** What an error is about, and what else the client may be told. */
export interface ErrorDetails {
  /** `container`, `image`, `network`, … */
  readonly resourceType?: string;
  /** Name or ID as the caller gave it. */
  readonly resourceId?: string;
  /** Exit code that Docker's CLI convention gives a failed start: 125, 126 or 127. */
  readonly exitCode?: number;
}

/** Options of an EngineError, beside kind and message. */
export interface EngineErrorOptions {
  /** What went wrong underneath: for logs, never sent to a client. */
  readonly cause?: unknown;
  readonly details?: ErrorDetails;
}

/**
 * The only error class that means something across packages. Match `kind`, never the message.
 * The message is safe for clients, with Docker's exact words where a client sees them.
 */
export class EngineError extends Error {
  override readonly name: string = "EngineError";
  readonly kind: ErrorKind;
  readonly details: ErrorDetails;

  constructor(kind: ErrorKind, message: string, options: EngineErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.details = options.details ?? {};
  }
}

/** Whether a caught value is ours. */
export function isEngineError(value: unknown): value is EngineError {
  return value instanceof EngineError;
}

/** Whether a caught value has this kind, by the outermost EngineError of its chain. */
export function hasKind(value: unknown, kind: ErrorKind): boolean {
  return isEngineError(value) ? value.kind === kind : false;
}
