/** What is to be done when this process dies, however it dies. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Socket } from "node:net";
import { cleanEnvironment } from "./run.ts";

/** Waits at a pipe: a word means that there is nothing to do, an end without one that its writer has died. */
const untilClosed = 'read -r _ || exec "$@"';

/**
 * Has `argv` run once this process has ended, be it by kill -9. Disposing revokes it.
 * @param log descriptor for what it prints; default: nowhere.
 */
export async function leaveWill(argv: readonly string[], log?: number): Promise<AsyncDisposable> {
  const output = log ?? "ignore";
  const executor = spawn("/bin/sh", ["-c", untilClosed, "last-will", ...argv], {
    cwd: "/",
    env: cleanEnvironment(),
    stdio: ["pipe", output, output],
    // A session of its own: what ends the tests is not for it.
    detached: true,
  });
  await once(executor, "spawn");
  // It waits for our end, not we for its.
  executor.unref();
  if (executor.stdin instanceof Socket) executor.stdin.unref();
  return {
    async [Symbol.asyncDispose]() {
      const ended = once(executor, "exit");
      executor.ref();
      executor.stdin?.end("\n");
      await ended;
    },
  };
}
