/** Asks for a service that is started when it is wanted (see the supervisor's wake socket). */
import net from "node:net";
import { hasErrno, unavailable } from "@gantry/errors";

/**
 * Resolves when the service was started, or runs: true; where nobody starts services on demand:
 * false. Throws unavailable.
 */
export function wake(path: string, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let refused = false;
    const socket = net.connect(path);
    const onAbort = (): void => {
      socket.destroy(unavailable("the call was canceled"));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    socket.on("data", () => {
      refused = true;
    });
    socket.once("error", (error) => {
      // Somebody else sees to it that the service runs.
      if (hasErrno(error, "ENOENT") || hasErrno(error, "ECONNREFUSED")) resolve(false);
      else reject(error);
    });
    socket.once("close", () => {
      signal.removeEventListener("abort", onAbort);
      if (refused) reject(unavailable("the builder cannot be started"));
      else resolve(true);
    });
  });
}
