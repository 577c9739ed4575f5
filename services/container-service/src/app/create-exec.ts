/** Declares an exec. Nothing runs yet. */
import { conflict, invalidArgument } from "@gantry/errors";
import { newId } from "../domain/container-id.ts";
import { parseDetachKeys } from "../domain/detach-keys.ts";
import { type ExecRecord, execCommandText } from "../domain/exec-record.ts";
import { validateEnv } from "../domain/validate/validate-config.ts";
import { type App, containerEvent, expectProcess } from "./context.ts";
import type { Entry } from "./entry.ts";
import { saveExec } from "./exec-ended.ts";
import type { ExecEntry } from "./exec-table.ts";
import { requireUser } from "./exec-user.ts";
import { settled } from "./settled.ts";

/** What a user asks for. */
export interface ExecOptions {
  readonly cmd: readonly string[];
  readonly env: readonly string[];
  readonly user: string;
  readonly workingDir: string;
  readonly tty: boolean;
  readonly privileged: boolean;
  readonly attachStdin: boolean;
  readonly attachStdout: boolean;
  readonly attachStderr: boolean;
  readonly detachKeys: string;
  readonly consoleHeight: number;
  readonly consoleWidth: number;
}

/** Errors: not_found, conflict (not running, paused, restarting), invalid_argument. */
export async function createExec(
  app: App,
  reference: string,
  options: ExecOptions,
  signal: AbortSignal,
): Promise<ExecEntry> {
  if (options.cmd.length === 0) throw invalidArgument("No exec command specified");
  for (const variable of options.env) validateEnv(variable);
  const entry = app.registry.find(reference);
  await settled(entry);
  refuseExec(entry, reference);
  expectProcess(app);
  if (options.user !== "") {
    await requireUser(app, entry, options.user, signal);
    // Its files can be looked at after its end, too.
    refuseExec(entry, reference);
  }
  return await declareExec(app, entry, options);
}

/** Throws where no process can be started. */
export function refuseExec(entry: Entry, reference: string): void {
  switch (entry.record.state.status) {
    case "running":
      return;
    case "paused":
      throw conflict(`Container ${reference} is paused, unpause the container before exec`);
    case "restarting":
      throw conflict(`Container ${entry.id} is restarting, wait until the container is running`);
    default:
      throw conflict(`container ${entry.id} is not running`);
  }
}

/**
 * Adds the exec to memory and store.
 * @param probeId of a health probe, which is not kept on disk, and forgotten when it has ended.
 */
export async function declareExec(
  app: App,
  entry: Entry,
  options: ExecOptions,
  probeId?: string,
): Promise<ExecEntry> {
  const { detachKeys, ...asked } = options;
  const record: ExecRecord = {
    ...asked,
    id: probeId ?? newId(),
    containerId: entry.id,
    detachKeys: detachKeys === "" ? "" : Buffer.from(parseDetachKeys(detachKeys)).toString("hex"),
    state: { status: "created" },
  };
  const action = `exec_create: ${execCommandText(record)}`;
  const event = containerEvent(entry.record, action, { execID: record.id });
  const exec = app.execs.add(record, probeId !== undefined);
  // A full disk is looked at, and tidied up, from inside of a container, too.
  await saveExec(app, exec, [event]);
  return exec;
}
