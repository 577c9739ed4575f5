/** Resize of an exec's terminal. */
import { conflict, deadlineExceeded, hasKind, notFound } from "@gantry/errors";
import type { App } from "./context.ts";
import { refuseExec } from "./create-exec.ts";

/** How long a resize waits for the process to start. */
const startTimeoutMs = 10_000;

/** Errors: not_found, conflict (ended, container's state), deadline_exceeded (not started). */
export async function resizeExec(
  app: App,
  id: string,
  size: { readonly height: number; readonly width: number },
): Promise<void> {
  const exec = app.execs.find(id);
  const entry = app.registry.byId(exec.record.containerId);
  if (entry === undefined) throw notFound("exec", id);
  refuseExec(entry, entry.id);
  const timer = Promise.withResolvers<"late">();
  const timeout = setTimeout(() => {
    timer.resolve("late");
  }, startTimeoutMs);
  const first = await Promise.race([exec.started.promise, timer.promise]);
  clearTimeout(timeout);
  if (first === "late") throw deadlineExceeded("timeout waiting for exec session ready");
  const notRunning = `exec command ${id} is not running`;
  if (exec.record.state.status !== "running") throw conflict(notRunning);
  const { containerId, tty } = exec.record;
  if (!tty) return;
  try {
    await app.shim.resizeProcess({ id: containerId, execId: id, ...size });
  } catch (error) {
    // Its end is about to be told.
    if (hasKind(error, "not_found")) throw conflict(notRunning, { cause: error });
    throw error;
  }
}
