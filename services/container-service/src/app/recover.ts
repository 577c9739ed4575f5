/**
 * Recovery at boot, by the rules of the state machine: records are read, what ran is adopted or its
 * end found out, half-done removals are finished, and restart policies applied.
 */
import { isLive, type Run } from "../domain/container-state.ts";
import { wantsStartAtBoot } from "../domain/restart-policy.ts";
import type { LiveContainer } from "../ports/networking.ts";
import { endRun } from "./container-ended.ts";
import { type App, advanceSurely, announceImageUse, containerEvent } from "./context.ts";
import { type Entry, pidOf } from "./entry.ts";
import { endExecs, execEnded, execReportMs } from "./exec-ended.ts";
import type { ExecEntry } from "./exec-table.ts";
import { adoptHealthCheck, startHealthCheck } from "./health-check.ts";
import { adoptLeftProbe, expectLeftProbe } from "./health-probe.ts";
import { removeAfterExit, removeContainer } from "./remove-container.ts";
import { restartNow } from "./schedule-restart.ts";
import { releaseShm } from "./shareable-shm.ts";
import { launch, runOf } from "./start-container.ts";
import { execRuns } from "./start-exec.ts";

/** Adoptions that run at the same time. */
const adoptAtOnce = 32;

/** Reads the records and adopts what runs. Afterwards the service can answer. */
export async function recover(app: App): Promise<void> {
  await app.roots.cleanUp();
  const health = app.store.loadHealth();
  for (const record of app.store.loadContainers()) {
    app.registry.add(record).health = health.get(record.id);
  }
  for (const exec of app.store.loadExecs()) app.execs.add(exec);
  await forEachAtOnce(app.registry.all(), adoptAtOnce, (entry) => adoptOne(app, entry));
  await reconcilePeers(app);
  announceImageUse(app);
}

async function adoptOne(app: App, entry: Entry): Promise<void> {
  await entry.serial.run(async () => {
    const { state } = entry.record;
    if (isLive(state)) await adoptRun(app, entry);
    else if (state.status === "starting") await adoptLaunch(app, entry);
    if (isLive(entry.record.state)) return;
    // The service may have gone between an end and this.
    endExecs(app, entry);
    await releaseShm(app, entry.record);
  });
}

/** Found `running` or `paused`. */
async function adoptRun(app: App, entry: Entry): Promise<void> {
  const { state } = entry.record;
  if (!isLive(state)) return;
  const { launched } = state.run;
  const left = expectLeftProbe(app, entry);
  const found = await app.shim.adopt({
    id: entry.id,
    launched: { ...launched, nonce: Buffer.from(launched.nonce, "hex") },
    bootId: state.run.bootId,
    exitRecordPath: app.folders.paths(entry.id).exitRecord,
  });
  if (!found.running) {
    if (left !== undefined) app.execs.remove(left.record.id);
    await endAdopted(app, entry, found.exited);
    return;
  }
  await followPause(app, entry, found.paused);
  const running = new Map(found.execs.map((exec) => [exec.execId, exec.pid]));
  adoptExecs(app, entry, running);
  if (left !== undefined) adoptLeftProbe(app, left, running.get(left.record.id) ?? 0);
  adoptHealthCheck(app, entry);
}

async function followPause(app: App, entry: Entry, paused: boolean): Promise<void> {
  const { status } = entry.record.state;
  if (paused && status === "running") await advanceSurely(app, entry, { type: "pause" });
  if (!paused && status === "paused") await advanceSurely(app, entry, { type: "unpause" });
}

/** Exit code of what ended while nobody listened and left no record. */
const unknownExitCode = 255;

function adoptExecs(app: App, entry: Entry, running: ReadonlyMap<string, number>): void {
  for (const exec of app.execs.of(entry.id)) {
    const { state, id } = exec.record;
    const pid = running.get(id) ?? 0;
    if (pid !== 0) execRuns(exec, pid);
    else if ((state.status === "starting" || state.status === "running") && !running.has(id)) {
      expectEnd(app, entry, exec);
    }
  }
}

/** It does not run any more: its end is about to be told, or is unknown. */
function expectEnd(app: App, entry: Entry, exec: ExecEntry): void {
  exec.started.resolve(undefined);
  setTimeout(() => {
    execEnded(app, entry, exec, unknownExitCode);
  }, execReportMs).unref();
}

interface AdoptedEnd {
  readonly exitCode: number;
  readonly oomKilled: boolean;
  readonly timeNano: bigint;
}

async function endAdopted(app: App, entry: Entry, exited: AdoptedEnd | undefined): Promise<void> {
  await endRun(app, entry, {
    exitCode: exited?.exitCode ?? unknownExitCode,
    oomKilled: exited?.oomKilled ?? false,
    atNano: exited?.timeNano ?? BigInt(Date.now()) * 1_000_000n,
  });
}

/** A process that is still being made after this time hangs, and is killed. */
const startTimeoutMs = 10_000;

/** Found `starting`: the launch may have come through, or not. */
async function adoptLaunch(app: App, entry: Entry): Promise<void> {
  const { state } = entry.record;
  if (state.status !== "starting") return;
  const request = {
    id: entry.id,
    bootId: state.bootId,
    launched: { nonce: Buffer.from(state.nonce, "hex") },
    exitRecordPath: app.folders.paths(entry.id).exitRecord,
    startTimeoutMs,
  };
  let found = await app.shim.adopt(request);
  if (found.running && found.launched === undefined) {
    app.logger.warn({ container: entry.id }, "a start that hangs is killed");
    await app.shim.kill({ id: entry.id });
    found = await app.shim.adopt(request);
  }
  if (found.launched === undefined) {
    await loseLaunch(app, entry);
    return;
  }
  await tellLaunch(app, entry, runOf(found.launched, state.bootId));
  if (!found.running) await endAdopted(app, entry, found.exited);
  else startHealthCheck(app, entry);
}

/** Nothing was begun. A restart of the policy that did not take place is made again, as the same one. */
async function loseLaunch(app: App, entry: Entry): Promise<void> {
  const { state, restartCount } = entry.record;
  const byPolicy = state.status === "starting" && state.from === "restarting";
  const error = byPolicy ? "" : "the engine ended while the container was being started";
  await advanceSurely(app, entry, { type: "launch-lost", error }, [], {
    restartCount: byPolicy ? restartCount - 1 : restartCount,
  });
}

/** The start that nobody could tell of. */
async function tellLaunch(app: App, entry: Entry, run: Run): Promise<void> {
  const event = { ...containerEvent(entry.record, "start"), timeNano: run.startedAtNano };
  await advanceSurely(app, entry, { type: "launched", run }, [event]);
}

/** Networks, volumes and image-service are told what is there. */
async function reconcilePeers(app: App): Promise<void> {
  const entries = app.registry.all();
  const known = new Set(entries.map((entry) => entry.id));
  const live = entries.filter((entry) => isLive(entry.record.state));
  const running = live.map(
    (entry): LiveContainer => ({ container: entry.record, pid: pidOf(entry) }),
  );
  await app.networking.reconcile(running, known);
  await app.volumes.reconcile(new Set(live.map((entry) => entry.id)), known);
  for (const id of await app.folders.list()) if (!known.has(id)) await app.folders.remove(id);
}

/** What goes on after the service answers: removals, restarts, and the policy of stopped containers. */
export async function resume(app: App): Promise<void> {
  discardOrphans(app).catch((error: unknown) => {
    app.logger.warn({ err: error }, "snapshots without container are left");
  });
  await forEachAtOnce(app.registry.all(), adoptAtOnce, (entry) => resumeOne(app, entry));
}

async function resumeOne(app: App, entry: Entry): Promise<void> {
  if (entry.record.buildStep) {
    // Its build cannot go on without what it heard from the service before.
    await removeContainer(app, entry.id, { force: true, removeVolumes: true, removeLink: false });
    return;
  }
  const { state, hostConfig } = entry.record;
  switch (state.status) {
    case "created":
      // Its start failed, or was cut off.
      if (hostConfig.autoRemove && state.past.error !== "") removeAfterExit(app, entry);
      return;
    case "removing":
      removeAfterExit(app, entry);
      return;
    case "restarting":
      await restartNow(app, entry);
      return;
    case "exited":
      if (hostConfig.autoRemove) removeAfterExit(app, entry);
      else await startByPolicy(app, entry);
      return;
    default:
      return;
  }
}

async function startByPolicy(app: App, entry: Entry): Promise<void> {
  await entry.serial.run(async () => {
    const { state, hostConfig, manuallyStopped, restartCount } = entry.record;
    const wanted =
      state.status === "exited" &&
      wantsStartAtBoot(hostConfig.restartPolicy, {
        exitCode: state.past.exitCode,
        manuallyStopped,
        startedBefore: state.past.startedAtNano !== 0n,
        restartCount,
      });
    if (!wanted) return;
    try {
      await launch(app, entry, { restartCount, manuallyStopped: false });
    } catch (error) {
      app.logger.warn({ err: error, container: entry.id }, "start by policy has failed");
    }
  });
}

/** Snapshots and leases that a crash left between their making and the record. */
async function discardOrphans(app: App): Promise<void> {
  for (const id of await app.images.listOwners()) {
    if (app.registry.byId(id) === undefined) await app.images.discard(id);
  }
}

async function forEachAtOnce<T>(
  items: readonly T[],
  limit: number,
  act: (item: T) => Promise<void>,
): Promise<void> {
  const rest = [...items];
  const worker = async (): Promise<void> => {
    for (let item = rest.pop(); item !== undefined; item = rest.pop()) await act(item);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
}
