/**
 * One supervisor per run root. The lock is an abstract Unix socket: the kernel gives it to one process
 * only and takes it back when that process ends, however it ends.
 */
import { createHash } from "node:crypto";
import net from "node:net";
import { conflict, hasErrno } from "@gantry/errors";

/** A held lock. */
export type EngineLock = AsyncDisposable;

const nameOf = (runRoot: string): string =>
  `\0gantry-supervisor-${createHash("sha256").update(runRoot).digest("hex").slice(0, 32)}`;

/** Takes the lock. Throws conflict when another supervisor has it. */
export async function takeEngineLock(runRoot: string): Promise<EngineLock> {
  const server = net.createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      const taken = hasErrno(error, "EADDRINUSE");
      reject(taken ? conflict("the engine is supervised already", { cause: error }) : error);
    });
    server.listen(nameOf(runRoot), resolve);
  });
  server.unref();
  return {
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
      }),
  };
}

/** Whether a supervisor holds the lock of this run root. */
export function isEngineLocked(runRoot: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(nameOf(runRoot));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => {
      resolve(false);
    });
  });
}
