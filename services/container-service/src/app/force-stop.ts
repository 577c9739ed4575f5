/** The hard end: everything in the container's cgroup is killed, and the exit awaited. */
import { internal } from "@gantry/errors";
import { isLive } from "../domain/container-state.ts";
import { type App, containerEvent } from "./context.ts";
import type { Entry } from "./entry.ts";
import { untilExit } from "./until-exit.ts";

/** After the kill the exit has to be told within this time, or a task cannot be killed. */
const exitTimeoutMs = 10_000;
const sigkill = 9;

/**
 * Kills and waits for the exit to be recorded.
 * Errors: internal (tasks that cannot be killed).
 */
export async function forceStop(app: App, entry: Entry): Promise<void> {
  if (!isLive(entry.record.state)) return;
  if (entry.intent === "none") entry.intent = "stop";
  app.store.append([containerEvent(entry.record, "kill", { signal: String(sigkill) })]);
  const ended = untilExit(entry, exitTimeoutMs);
  const { unkillablePids } = await app.shim.kill({ id: entry.id });
  if (await ended) return;
  const pids =
    unkillablePids.length === 0 ? "" : `: processes ${unkillablePids.join(", ")} cannot be killed`;
  throw internal(`tried to kill container, but did not receive an exit event${pids}`);
}
