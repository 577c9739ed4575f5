/** Streams of a container's run, which may end at any moment. */
import { hasErrno, toEngineError } from "@gantry/errors";
import type { ApiCall } from "../api-call.ts";

/**
 * Connects to a run's streams. Undefined when it has ended since its ticket was given and its socket is gone: there is
 * nothing left to hear. Errors: not_found when the container is gone, too; what `connect` throws otherwise.
 */
export async function connectRun<T>(
  call: ApiCall,
  connect: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await connect();
  } catch (error) {
    const { cause } = toEngineError(error);
    if (!hasErrno(cause, "ENOENT") && !hasErrno(cause, "ECONNREFUSED")) throw error;
    await call.backends.containers.inspectContainer({ container: call.name });
    return undefined;
  }
}
