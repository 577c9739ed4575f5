/** Streams of a container's run, which may end at any moment. */
import { hasErrno, toEngineError } from "@gantry/errors";

/**
 * Connects to a run's streams. Undefined when it has ended since its ticket was given and its socket is gone: there is
 * nothing left to hear. Errors: what `look` throws when its object is gone, too; what `connect` throws otherwise.
 */
export async function connectRun<T>(
  connect: () => Promise<T>,
  look: () => Promise<unknown>,
): Promise<T | undefined> {
  try {
    return await connect();
  } catch (error) {
    const { cause } = toEngineError(error);
    if (!hasErrno(cause, "ENOENT") && !hasErrno(cause, "ECONNREFUSED")) throw error;
    await look();
    return undefined;
  }
}
