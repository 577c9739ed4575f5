/** Errors as Docker's clients expect them. The only place where kinds become HTTP statuses. */
import { type EngineError, httpStatus, toEngineError } from "@gantry/errors";

/** An error answer, before it is written. */
export interface ErrorAnswer {
  readonly status: number;
  /** Absent: no body and no content type (304). */
  readonly body: string | undefined;
  readonly contentType: "application/json" | "text/plain; charset=utf-8";
  readonly error: EngineError;
}

/**
 * Any caught value as an answer. The content type is exactly `application/json`: with a charset behind
 * it the stock CLI prints the JSON as it is.
 */
export function errorAnswer(caught: unknown, plain = false): ErrorAnswer {
  const error = toEngineError(caught);
  const status = statusOf(error);
  if (status === 304) {
    return { status, body: undefined, contentType: "application/json", error };
  }
  return plain
    ? { status, body: `${error.message}\n`, contentType: "text/plain; charset=utf-8", error }
    : { status, body: messageBody(error.message), contentType: "application/json", error };
}

/** `{"message":…}` and a newline. */
export function messageBody(message: string): string {
  return `${JSON.stringify({ message })}\n`;
}

function statusOf(error: EngineError): number {
  return httpStatus(error.kind);
}
