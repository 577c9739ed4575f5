/** Health checks: probes as execs, one after the other, while the container runs. */
import { setTimeout as pause } from "node:timers/promises";
import { type NewEvent, nowNano } from "@gantry/events";
import { newId } from "../domain/container-id.ts";
import { isLive } from "../domain/container-state.ts";
import {
  afterProbe,
  type Health,
  type HealthRules,
  nextProbeMs,
  type Probe,
  restOfPauseMs,
  startingHealth,
} from "../domain/health.ts";
import { type HealthCheck, healthCheckOf } from "../domain/health-check.ts";
import { type App, containerEvent } from "./context.ts";
import type { Entry } from "./entry.ts";
import { endLeftProbes, runProbe } from "./health-probe.ts";

/** Starts the probes of a run; a container without a check is left alone. What those of the run before said stays. */
export function startHealthCheck(app: App, entry: Entry): void {
  const check = checkToRun(entry);
  if (check === undefined) return;
  setHealth(app, entry, { ...startingHealth, log: entry.health?.log ?? [] });
  startProbes(app, entry, check);
}

/** Goes on with the probes of a run that was frozen, which is unhealthy until one of them says else. */
export function resumeHealthCheck(app: App, entry: Entry): void {
  const check = checkToRun(entry);
  if (check === undefined) return;
  if (entry.health === undefined) startHealthCheck(app, entry);
  else startProbes(app, entry, check, nowNano());
}

/** Goes on where the service before has stopped, as if it had not; a probe that was under way then is made again. */
export function adoptHealthCheck(app: App, entry: Entry): void {
  const { health } = entry;
  const startedNano = runStartedNano(entry);
  if (health?.runStartedNano !== startedNano) {
    // It had not come to the first word of this run.
    startHealthCheck(app, entry);
    return;
  }
  if (entry.record.state.status === "paused") stopHealthCheck(app, entry);
  const check = checkToRun(entry);
  if (check === undefined) return;
  const saidNano = health.log.at(-1)?.endNano ?? 0n;
  startProbes(app, entry, check, saidNano > startedNano ? saidNano : startedNano);
}

function checkToRun({ record }: Entry): HealthCheck | undefined {
  return record.state.status === "running" ? healthCheckOf(record.config) : undefined;
}

function runStartedNano({ record: { state } }: Entry): bigint {
  return isLive(state) ? state.run.startedAtNano : 0n;
}

/** @param goesOnSince when the pause before the next probe began, where there were probes of this run before. */
function startProbes(app: App, entry: Entry, check: HealthCheck, goesOnSince?: bigint): void {
  stopProbes(entry);
  const controller = new AbortController();
  entry.healthProbes = controller;
  probeLoop(app, entry, { check, goesOnSince }, controller.signal).catch((error: unknown) => {
    if (!controller.signal.aborted) {
      app.logger.error({ err: error, container: entry.id }, "health check has ended");
    }
  });
}

/**
 * The run has ended or is frozen: nobody can tell how it is, which is no event. A probe of a frozen one that is under
 * way is left, and is the next one still.
 */
export function stopHealthCheck(app: App, entry: Entry): void {
  stopProbes(entry);
  if (entry.health === undefined) return;
  entry.health = { ...entry.health, status: "unhealthy" };
  app.store.putHealth(entry.id, entry.health, []);
}

function stopProbes(entry: Entry): void {
  entry.healthProbes?.abort();
  entry.healthProbes = undefined;
}

async function probeLoop(
  app: App,
  entry: Entry,
  { check, goesOnSince }: { readonly check: HealthCheck; readonly goesOnSince: bigint | undefined },
  signal: AbortSignal,
): Promise<void> {
  const { rules } = check;
  const atStart = nowNano();
  const startPeriodEnd =
    performance.now() + restOfPauseMs(rules.startPeriodMs, runStartedNano(entry), atStart);
  const inStartPeriod = (): boolean => performance.now() < startPeriodEnd;
  if (goesOnSince !== undefined) {
    await endLeftProbes(app, entry);
    if (signal.aborted || entry.health === undefined) return;
    setHealth(app, entry, entry.health);
  }
  let pausingSince = goesOnSince;
  while (!signal.aborted && entry.health !== undefined) {
    const pauseMs = nextProbeMs(entry.health, rules, inStartPeriod());
    await pause(restOfPauseMs(pauseMs, pausingSince ?? nowNano(), nowNano()), undefined, {
      signal,
    });
    pausingSince = undefined;
    const early = inStartPeriod();
    const probe = await runProbe(app, entry, { check, id: entry.health.nextProbe }, signal);
    if (signal.aborted) return;
    applyProbe(app, entry, { probe, rules, early });
  }
}

function applyProbe(
  app: App,
  entry: Entry,
  { probe, rules, early }: { probe: Probe; rules: HealthRules; early: boolean },
): void {
  setHealth(app, entry, afterProbe(entry.health ?? startingHealth, probe, rules, early));
}

/** Says how the run is, in memory and in the store; the probe that comes next is another one. Tells of a change. */
function setHealth(app: App, entry: Entry, health: Health): void {
  const { status, failingStreak, log } = health;
  const before = entry.health;
  const kept = { runStartedNano: runStartedNano(entry), nextProbe: newId() };
  entry.health = { status, failingStreak, log, ...kept };
  app.store.putHealth(entry.id, entry.health, changeOf(entry, before));
}

/** A run that begins is told of by its start. */
function changeOf({ record, health }: Entry, before: Health | undefined): NewEvent[] {
  const status = health?.status;
  if (status === undefined || status === "starting" || status === before?.status) return [];
  return [containerEvent(record, `health_status: ${status}`)];
}
