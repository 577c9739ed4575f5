/** What shim processes tell, carried to the containers and execs they are about. */
import type { ShimMessage } from "@gantry/proto/shim";
import { containerEnded } from "./container-ended.ts";
import { type App, containerEvent } from "./context.ts";
import type { Entry } from "./entry.ts";
import { execEnded, saveExec } from "./exec-ended.ts";
import { execRuns } from "./start-exec.ts";

/** Follows all process events until the service ends. Call it before anything is launched or adopted. */
export async function followProcesses(app: App): Promise<void> {
  for await (const { id, event } of app.shim.watch({}, { signal: app.lifetime })) {
    const entry = app.registry.byId(id);
    if (entry === undefined || event === undefined) continue;
    try {
      handleProcessEvent(app, entry, event.message);
    } catch (error) {
      app.logger.error({ err: error, container: id, event: event.message.case }, "process event");
    }
  }
}

function handleProcessEvent(app: App, entry: Entry, message: ShimMessage["message"]): void {
  switch (message.case) {
    case "exited":
      ended(app, entry, message.value);
      return;
    case "oom":
      app.store.append([containerEvent(entry.record, "oom")]);
      return;
    case "execStarted":
      execStarted(app, message.value.execId, message.value.pid);
      return;
    case "execExited":
      execExited(app, entry, message.value.execId, message.value.exitCode);
      return;
    case "detached":
      if (message.value.byKeys) detached(app, entry, message.value.execId);
      return;
    default:
      return;
  }
}

function ended(
  app: App,
  entry: Entry,
  exited: { exitCode: number; oomKilled: boolean; timeNano: bigint },
): void {
  const ending = {
    exitCode: exited.exitCode,
    oomKilled: exited.oomKilled,
    atNano: exited.timeNano,
  };
  containerEnded(app, entry, ending).catch((error: unknown) => {
    app.logger.error({ err: error, container: entry.id }, "end of a container");
  });
}

function execStarted(app: App, execId: string, pid: number): void {
  const exec = app.execs.byId(execId);
  if (exec === undefined) return;
  execRuns(exec, pid);
  void saveExec(app, exec, []);
}

function execExited(app: App, entry: Entry, execId: string, exitCode: number): void {
  const exec = app.execs.byId(execId);
  if (exec !== undefined) execEnded(app, entry, exec, exitCode);
}

function detached(app: App, entry: Entry, execId: string): void {
  const event =
    execId === ""
      ? containerEvent(entry.record, "detach")
      : containerEvent(entry.record, "exec_detach", { execID: execId });
  app.store.append([event]);
  app.execs.byId(execId)?.detached.resolve(undefined);
}
