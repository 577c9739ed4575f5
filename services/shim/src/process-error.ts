/** What a shim process says about a failure, as errors in Docker's words. */
import { getSystemErrorName } from "node:util";
import { conflict, type EngineError, internal, invalidArgument, notFound } from "@gantry/errors";
import type { Error as ProcessFailure, StartFailed } from "@gantry/proto/shim";

/** The layers that a real engine's message names; clients look for what comes after them. */
const startPrefix =
  "failed to create task for container: failed to create shim task: OCI runtime create failed: " +
  "runc create failed: unable to start container process: error during container init: ";
const execPrefix = "OCI runtime exec failed: exec failed: ";

function isUsersFault(exitCode: number): boolean {
  return exitCode === 126 || exitCode === 127;
}

/** The step of user and groups, which dockerd looks up itself: no runtime is named in its message. */
const userStep = "user";

/** The step of an interface on a parent, which dockerd makes before there is a runtime. */
const portStep = "port";

/** The step of a working directory that runc would refuse before there is a process. */
const cwdStep = "cwd";

/** What dockerd adds where a path is no directory, which is mostly a file bound on one. */
const directoryHint =
  "Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type";

function ended(message: string): string {
  return message.includes("not a directory")
    ? `${message}: ${directoryHint}`
    : `${message}: unknown`;
}

function launchMessage({ step, message }: StartFailed): string {
  switch (step) {
    case userStep:
      return message;
    case portStep:
      return `failed to set up container networking: ${message}`;
    default:
      return ended(`${startPrefix}${message}`);
  }
}

/** A failed launch: invalid_argument where command, user or directory were at fault, else internal. */
export function toLaunchError(failed: StartFailed): EngineError {
  const message = launchMessage(failed);
  const options = { details: { exitCode: failed.exitCode }, cause: systemError(failed) };
  return isUsersFault(failed.exitCode)
    ? invalidArgument(message, options)
    : internal(message, options);
}

/** A limit that is refused before there is a process. */
export function limitRefused(problem: string): EngineError {
  const message = `${startPrefix}error setting cgroup config for procHooks process: ${problem}`;
  return internal(ended(message));
}

/** What the kernel said, as Node would have it; undefined when it was not asked. */
function systemError({ errnoValue, step, subject }: StartFailed): Error | undefined {
  if (errnoValue <= 0) return undefined;
  const code = getSystemErrorName(-errnoValue);
  return Object.assign(new Error(`${step} ${subject}: ${code}`), { code });
}

function execMessage({ step, message }: ProcessFailure): string {
  switch (step) {
    case userStep:
      return message;
    case cwdStep:
      return ended(`${execPrefix}${message}`);
    default:
      return ended(`${execPrefix}unable to start container process: ${message}`);
  }
}

/** A refused request. */
export function toEngineErrorOf(failure: ProcessFailure): EngineError {
  if (failure.exitCode !== 0) {
    const message = execMessage(failure);
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
