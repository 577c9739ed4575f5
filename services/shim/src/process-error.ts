/** What a shim process says about a failure, as errors in Docker's words. */
import { conflict, type EngineError, internal, invalidArgument, notFound } from "@gantry/errors";
import type { Error as ProcessFailure, StartFailed } from "@gantry/proto/shim";

/** The layers that a real engine's message names; clients look for what comes after them. */
const startPrefix =
  "failed to create task for container: failed to create shim task: OCI runtime create failed: " +
  "runc create failed: unable to start container process: error during container init: ";
const execPrefix = "OCI runtime exec failed: exec failed: unable to start container process: ";

function isUsersFault(exitCode: number): boolean {
  return exitCode === 126 || exitCode === 127;
}

/** The step of user and groups, which dockerd looks up itself: no runtime is named in its message. */
const userStep = "user";

/** The step of an interface on a parent, which dockerd makes before there is a runtime. */
const portStep = "port";

function launchMessage({ step, message }: StartFailed): string {
  switch (step) {
    case userStep:
      return message;
    case portStep:
      return `failed to set up container networking: ${message}`;
    default:
      return `${startPrefix}${message}: unknown`;
  }
}

/** A failed launch: invalid_argument where command, user or directory were at fault, else internal. */
export function toLaunchError(failed: StartFailed): EngineError {
  const message = launchMessage(failed);
  const details = { exitCode: failed.exitCode };
  return isUsersFault(failed.exitCode)
    ? invalidArgument(message, { details })
    : internal(message, { details });
}

/** A refused request. */
export function toEngineErrorOf(failure: ProcessFailure): EngineError {
  if (failure.exitCode !== 0) {
    const message =
      failure.step === userStep ? failure.message : `${execPrefix}${failure.message}: unknown`;
    const details = { exitCode: failure.exitCode };
    return isUsersFault(failure.exitCode)
      ? invalidArgument(message, { details })
      : internal(message, { details });
  }
  switch (failure.code) {
    case "not_found":
      return notFound("process", "", failure.message);
    case "gone":
      return conflict(failure.message);
    case "invalid":
      return invalidArgument(failure.message);
    default: {
      const step = failure.step === "" ? "" : `${failure.step}: `;
      return internal(`${step}${failure.message} (errno ${String(failure.errnoValue)})`);
    }
  }
}
