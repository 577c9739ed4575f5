/** Start: network, mounts and bundle are prepared, the shim launches, the state says so. */
import { randomBytes } from "node:crypto";
import type { EngineError } from "@gantry/errors";
import {
  conflict,
  invalidArgument,
  isEngineError,
  notModified,
  toEngineError,
  unavailable,
} from "@gantry/errors";
import type { LaunchResponse } from "@gantry/proto/shim";
import type { ContainerRecord } from "../domain/container-record.ts";
import type { Run, State } from "../domain/container-state.ts";
import { validateEnv } from "../domain/validate/validate-config.ts";
import {
  type App,
  advance,
  advanceSurely,
  announceImageUse,
  containerEvent,
  expectProcess,
} from "./context.ts";
import type { Entry } from "./entry.ts";
import { startHealthCheck } from "./health-check.ts";
import { prepareLaunch } from "./launch-request.ts";
import { referencedContainer } from "./namespace-references.ts";
import { isNoSpace } from "./no-space.ts";
import { removeAfterExit } from "./remove-container.ts";
import { releaseShm } from "./shareable-shm.ts";

/** Exit code of a start that failed before the shim had a say. */
const failedStartCode = 128;

const nonceBytes = 16;

/**
 * Starts a container for a user.
 * @param secretEnv variables of a build's step that are in no record
 */
export async function startContainer(
  app: App,
  reference: string,
  secretEnv: readonly string[] = [],
): Promise<void> {
  const entry = app.registry.find(reference);
  if (secretEnv.length > 0 && !entry.record.buildStep) {
    throw invalidArgument("only steps of builds have secret variables");
  }
  for (const variable of secretEnv) validateEnv(variable);
  await entry.serial.run(async () => {
    refuseStart(app, entry);
    entry.restartPauseMs = 0;
    await launch(app, entry, { restartCount: 0, manuallyStopped: false }, secretEnv);
  });
}

function refuseStart(app: App, entry: Entry): void {
  if (app.shuttingDown) throw unavailable("the engine is shutting down");
  switch (entry.record.state.status) {
    case "running":
    case "restarting":
      throw notModified(`container ${entry.id} is already running`);
    case "paused":
      throw conflict("cannot start a paused container, try unpause instead");
    case "removing":
    case "dead":
      throw markedForRemoval();
    case "created":
    case "starting":
    case "exited":
  }
  if (entry.removing) throw markedForRemoval();
}

/** A start that comes too late, or that a removal by force ended. */
export function markedForRemoval(options?: ErrorOptions): EngineError {
  return conflict("container is marked for removal and cannot be started", options);
}

/** What a start changes in the record besides its state. */
export interface StartChanges {
  readonly restartCount: number;
  readonly manuallyStopped: boolean;
}

/**
 * Launches inside the container's queue. A failure leaves nothing but its text and code in the
 * state; with auto-remove the container goes, too.
 */
export async function launch(
  app: App,
  entry: Entry,
  changes: StartChanges,
  secretEnv: readonly string[] = [],
): Promise<void> {
  const begun = performance.now();
  expectProcess(app);
  const { record } = entry;
  const nonce = randomBytes(nonceBytes);
  const start = { type: "start", bootId: app.host.bootId, nonce: nonce.toString("hex") } as const;
  const [written, preparing] = await Promise.allSettled([
    advance(app, entry, start, [], { ...changes, config: configOfStart(app, record) }),
    prepareLaunch(app, record, secretEnv, app.lifetime),
  ]);
  if (written.status === "rejected") {
    // Nothing of it was told, so its end is not, either.
    app.networking.release(entry.id);
    app.volumes.release(entry.id);
    await releaseShm(app, record);
    throw toEngineError(written.reason);
  }
  entry.intent = "none";
  app.launchStep("intended", 0);
  try {
    if (preparing.status === "rejected") throw toEngineError(preparing.reason);
    const prepared = preparing.value;
    const preparedAt = performance.now();
    const request = { ...prepared.request, nonce };
    const launched = await app.shim.launch(request, { signal: app.lifetime });
    const run = runOf(launched, app.host.bootId);
    await advanceSurely(app, entry, { type: "launched", run }, [
      ...prepared.events,
      { ...containerEvent(entry.record, "start"), timeNano: run.startedAtNano },
    ]);
    app.launchStep("committed", launched.shimPid);
    app.store.syncSoon();
    const ended = performance.now();
    const fields = { prepareMs: preparedAt - begun, launchMs: ended - preparedAt };
    app.logger.debug({ container: entry.id, ...fields }, "started");
  } catch (error) {
    // The next service finds `starting` and goes by its recovery rule, as after a crash: a start that
    // this one gave up is no failure of the container's.
    if (app.lifetime.aborted) throw unavailable("the engine is shutting down", { cause: error });
    const isRemoval = entry.removing;
    const failure = await failStart(app, entry, error);
    throw isRemoval ? markedForRemoval({ cause: failure }) : failure;
  }
  app.networking.launched(entry.id, pidOfRun(entry));
  startHealthCheck(app, entry);
  announceImageUse(app);
}

/** In another container's network a container has that one's name, too, from its start on. */
function configOfStart(
  app: App,
  { config, hostConfig }: ContainerRecord,
): ContainerRecord["config"] {
  const joined = app.registry.byId(referencedContainer(hostConfig.networkMode) ?? "");
  if (joined === undefined) return config;
  const { hostname, domainname } = joined.record.config;
  return { ...config, hostname, domainname };
}

function pidOfRun(entry: Entry): number {
  const { state } = entry.record;
  return state.status === "running" ? state.run.launched.pid : 0;
}

/** What runs, for the record. */
export function runOf(launched: LaunchResponse, bootId: string): Run {
  return {
    launched: {
      pid: launched.pid,
      pidStartTicks: launched.pidStartTicks,
      shimPid: launched.shimPid,
      shimStartTicks: launched.shimStartTicks,
      nonce: Buffer.from(launched.nonce).toString("hex"),
    },
    bootId,
    startedAtNano: launched.startedAtNano,
  };
}

/** Docker's code: what says that the command is at fault, else that of the last run, unless that went well. */
function failedCode(state: State, { details }: EngineError): number {
  const { exitCode } = details;
  if (exitCode === 126 || exitCode === 127) return exitCode;
  return (state.status === "starting" && state.past.exitCode) || failedStartCode;
}

/** Gives everything back and says in the state what went wrong. Returns the error for the caller. */
async function failStart(app: App, entry: Entry, error: unknown): Promise<EngineError> {
  const failure = toEngineError(error);
  // As arrays are evaluated: what was mounted is asked for before it is released.
  const events = [
    ...app.volumes.mounted(entry.id),
    ...app.networking.release(entry.id),
    ...app.volumes.release(entry.id),
  ];
  const { state, restartCount } = entry.record;
  if (state.status === "starting" && state.from === "restarting" && isNoSpace(error)) {
    // Not the container's fault, and it passes: still `restarting`, for the same restart once more.
    const lost = { type: "launch-lost", error: failure.message } as const;
    await advanceSurely(app, entry, lost, events, { restartCount: restartCount - 1 });
  } else {
    const exitCode = failedCode(state, failure);
    const failed = { type: "launch-failed", error: failure.message, exitCode } as const;
    await advanceSurely(app, entry, failed, events);
  }
  await releaseShm(app, entry.record);
  if (entry.record.hostConfig.autoRemove) removeAfterExit(app, entry);
  return isEngineError(error) ? error : failure;
}
