/** One factory per kind. Docker's exact words go in by `message` where a client sees them. */
import { EngineError, type EngineErrorOptions } from "./engine-error.ts";

/** Docker's word for a resource in "No such …" messages. */
const nouns: Readonly<Record<string, string>> = {
  container: "No such container",
  image: "No such image",
  exec: "No such exec instance",
};

function notFoundMessage(type: string, id: string): string {
  const noun = nouns[type];
  return noun === undefined ? `${type} ${id} not found` : `${noun}: ${id}`;
}

/** No such thing. The message defaults to Docker's words for the type. */
export function notFound(
  type: string,
  id: string,
  message: string = notFoundMessage(type, id),
  options: EngineErrorOptions = {},
): EngineError {
  const details = { ...options.details, resourceType: type, resourceId: id };
  return new EngineError("not_found", message, { ...options, details });
}

/** Bad input, whatever the state. */
export function invalidArgument(message: string, options?: EngineErrorOptions): EngineError {
  return new EngineError("invalid_argument", message, options);
}

/** Credentials are missing or wrong. */
export function unauthenticated(message: string, options?: EngineErrorOptions): EngineError {
  return new EngineError("unauthenticated", message, options);
}

/** Refused by a rule. */
export function permissionDenied(message: string, options?: EngineErrorOptions): EngineError {
  return new EngineError("permission_denied", message, options);
}

/** The name is taken. */
export function alreadyExists(message: string, options?: EngineErrorOptions): EngineError {
  return new EngineError("already_exists", message, options);
}

/** Wrong state now. */
export function conflict(message: string, options?: EngineErrorOptions): EngineError {
  return new EngineError("conflict", message, options);
}

/** Already as asked. */
export function notModified(message: string, options?: EngineErrorOptions): EngineError {
  return new EngineError("not_modified", message, options);
}

/** A limit was reached. */
export function resourceExhausted(message: string, options?: EngineErrorOptions): EngineError {
  return new EngineError("resource_exhausted", message, options);
}

/** Not supported. */
export function notImplemented(message: string, options?: EngineErrorOptions): EngineError {
  return new EngineError("not_implemented", message, options);
}

/** A peer is down. */
export function unavailable(message: string, options?: EngineErrorOptions): EngineError {
  return new EngineError("unavailable", message, options);
}

/** Ran out of time. */
export function deadlineExceeded(message: string, options?: EngineErrorOptions): EngineError {
  return new EngineError("deadline_exceeded", message, options);
}

/** The caller went away. */
export function canceled(message: string, options?: EngineErrorOptions): EngineError {
  return new EngineError("canceled", message, options);
}

/** Stored bytes do not match their digest. */
export function dataLoss(message: string, options?: EngineErrorOptions): EngineError {
  return new EngineError("data_loss", message, options);
}

/** A fault of ours or of the machine. */
export function internal(message: string, options?: EngineErrorOptions): EngineError {
  return new EngineError("internal", message, options);
}
