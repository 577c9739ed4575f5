/** Ends of execs: by themselves, or with their container. */
import { nowNano } from "@gantry/events";
import type { ExecRecord } from "../domain/exec-record.ts";
import { type App, containerEvent } from "./context.ts";
import type { Entry } from "./entry.ts";
import type { ExecEntry } from "./exec-table.ts";

/** The exec's process has ended, or could not be started. A second report changes nothing. */
export function execEnded(app: App, entry: Entry, exec: ExecEntry, exitCode: number): void {
  const { state } = exec.record;
  if (state.status === "ended") return;
  const pid = state.status === "running" ? state.pid : 0;
  const record: ExecRecord = {
    ...exec.record,
    state: { status: "ended", pid, exitCode, endedAtNano: nowNano() },
  };
  const event = containerEvent(entry.record, "exec_die", {
    execID: record.id,
    exitCode: String(exitCode),
  });
  exec.record = record;
  // Who waits is answered when it cannot be forgotten any more.
  void saveExec(app, exec, [event]).then(() => {
    exec.started.resolve(undefined);
    exec.ended.resolve(exitCode);
  });
  if (exec.transient) app.execs.remove(record.id);
}

/**
 * Keeps an exec's record; resolves when it is kept. What the disk refuses is lost with the next restart
 * of ours only. Never rejects.
 */
export async function saveExec(
  app: App,
  exec: ExecEntry,
  events: Parameters<App["store"]["putExec"]>[1],
): Promise<void> {
  if (exec.transient) {
    app.store.append(events);
    return;
  }
  try {
    await app.store.putExec(exec.record, events);
  } catch (error) {
    app.logger.error({ err: error, exec: exec.record.id }, "exec is not written");
  }
}

const killedExitCode = 137;
/** A shim process tells right after its greeting which execs have ended meanwhile. */
export const execReportMs = 1000;

/** The container's run has ended, and its processes with it. Its execs can be looked at until they are swept or it is removed. */
export function endExecs(app: App, entry: Entry): void {
  for (const exec of app.execs.of(entry.id)) {
    const { status } = exec.record.state;
    if (status === "starting" || status === "running") {
      execEnded(app, entry, exec, killedExitCode);
    }
  }
}

/** Its container is being removed: nobody finds its execs any more. Their records go with the container's. */
export function forgetExecs(app: App, containerId: string): void {
  for (const exec of app.execs.of(containerId)) {
    exec.started.resolve(undefined);
    exec.ended.resolve(killedExitCode);
    app.execs.remove(exec.record.id);
  }
}
