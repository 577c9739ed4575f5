/** Starts an exec: with streams when its connection arrives, detached at once. */
import { conflict, notFound, toEngineError } from "@gantry/errors";
import { buildExecProcess } from "../domain/bundle/build-process.ts";
import { defaultDetachKeys } from "../domain/detach-keys.ts";
import { exactJson } from "../domain/exact-json.ts";
import { type ExecRecord, type ExecState, execCommandText } from "../domain/exec-record.ts";
import { parseSecurityOptions } from "../domain/security-options.ts";
import type { StreamEndpoint } from "./attach-container.ts";
import { type App, containerEvent } from "./context.ts";
import { refuseExec } from "./create-exec.ts";
import type { Entry } from "./entry.ts";
import { execEnded, saveExec } from "./exec-ended.ts";
import type { ExecEntry } from "./exec-table.ts";

/** How to start. */
export interface StartExecOptions {
  readonly detach: boolean;
  /** The stream is raw, else framed. */
  readonly tty: boolean;
  /** Initial terminal size, 0 = as declared. */
  readonly consoleHeight: number;
  readonly consoleWidth: number;
}

/**
 * Returns where to connect, or undefined when detached.
 * Errors: not_found, conflict (already run, container's state), invalid_argument (detached start).
 */
export async function startExec(
  app: App,
  id: string,
  options: StartExecOptions,
): Promise<StreamEndpoint | undefined> {
  const exec = app.execs.find(id);
  const entry = app.registry.byId(exec.record.containerId);
  if (entry === undefined) throw notFound("exec", id);
  refuseExec(entry, entry.id);
  refuseSecondStart(exec.record);
  return await beginExec(app, entry, exec, options);
}

function refuseSecondStart({ id, state }: ExecRecord): void {
  switch (state.status) {
    case "created":
      return;
    case "starting":
    case "running":
      throw conflict(`exec command ${id} is already running`);
    case "ended":
      throw conflict(`exec command ${id} has already run`);
  }
}

/** Starts an exec that is `created`. */
export async function beginExec(
  app: App,
  entry: Entry,
  exec: ExecEntry,
  options: StartExecOptions,
): Promise<StreamEndpoint | undefined> {
  setState(exec, { status: "starting" });
  // Told before the deed: the end of a quick one may come with the answer.
  await saveExec(app, exec, [startEvent(entry, exec.record)]);
  try {
    const { pid, ticket } = await app.shim.execProcess(requestOf(app, entry, exec.record, options));
    if (pid !== 0) execRuns(exec, pid);
    return ticket === undefined ? undefined : { path: ticket.path, ticket: ticket.ticket };
  } catch (error) {
    const { details } = toEngineError(error);
    execEnded(app, entry, exec, details.exitCode ?? 126);
    throw error;
  }
}

function setState(exec: ExecEntry, state: ExecState): void {
  exec.record = { ...exec.record, state };
}

/** The process has been executed. */
export function execRuns(exec: ExecEntry, pid: number): void {
  if (exec.record.state.status !== "starting") return;
  setState(exec, { status: "running", pid });
  exec.started.resolve(undefined);
}

function startEvent(entry: Entry, record: ExecRecord) {
  const action = `exec_start: ${execCommandText(record)}`;
  return containerEvent(entry.record, action, { execID: record.id });
}

function requestOf(
  app: App,
  entry: Entry,
  record: ExecRecord,
  options: StartExecOptions,
): Parameters<App["shim"]["execProcess"]>[0] {
  const { hostConfig, config } = entry.record;
  const security = parseSecurityOptions(hostConfig.securityOpt?.values ?? []);
  const sized = {
    ...record,
    consoleHeight: options.consoleHeight || record.consoleHeight,
    consoleWidth: options.consoleWidth || record.consoleWidth,
  };
  const process = buildExecProcess(entry.record, sized, app.runtimeDefaults, security);
  return {
    id: entry.id,
    execId: record.id,
    processJson: Buffer.from(exactJson(process)),
    user: record.user || config.user,
    additionalGroups: record.user === "" ? [...(hostConfig.groupAdd?.values ?? [])] : [],
    openStdin: record.attachStdin && !options.detach,
    startOnAttach: !options.detach,
    ...(options.detach ? {} : { options: ticketOptions(record, options) }),
  };
}

function ticketOptions(record: ExecRecord, options: StartExecOptions) {
  const keys = record.detachKeys === "" ? defaultDetachKeys : Buffer.from(record.detachKeys, "hex");
  return {
    stdin: record.attachStdin,
    stdout: record.attachStdout,
    stderr: record.attachStderr,
    framed: !options.tty,
    detachKeys: record.tty && record.attachStdin ? keys : new Uint8Array(),
    ttlMs: 30_000,
  };
}
