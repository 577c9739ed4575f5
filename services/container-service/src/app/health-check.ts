/** Health checks: probes as execs, one after the other, while the container runs. */
import { setTimeout as pause } from "node:timers/promises";
import { nowNano } from "@gantry/events";
import { connectData } from "@gantry/rpc";
import {
  afterProbe,
  cutOutput,
  type Health,
  type HealthRules,
  nextProbeMs,
  type Probe,
  startingHealth,
} from "../domain/health.ts";
import { type HealthCheck, healthCheckOf } from "../domain/health-check.ts";
import { type App, containerEvent } from "./context.ts";
import { declareExec } from "./create-exec.ts";
import type { Entry } from "./entry.ts";
import type { ExecEntry } from "./exec-table.ts";
import { beginExec } from "./start-exec.ts";

const sigkill = 9;
/** More than is kept, so that a chatty probe can be cut with its end known. */
const readBytes = 4097;

/** Starts the probes of a run; a container without a check is left alone. What those of the run before said stays. */
export function startHealthCheck(app: App, entry: Entry): void {
  startProbes(app, entry, { ...startingHealth, log: entry.health?.log ?? [] });
}

/** Goes on with the probes of a run that was frozen, which is unhealthy until one of them says else. */
export function resumeHealthCheck(app: App, entry: Entry): void {
  startProbes(app, entry, entry.health ?? startingHealth);
}

function startProbes(app: App, entry: Entry, health: Health): void {
  const check = healthCheckOf(entry.record.config);
  if (check === undefined || entry.record.state.status !== "running") return;
  stopHealthCheck(entry);
  entry.health = health;
  const controller = new AbortController();
  entry.healthProbes = controller;
  probeLoop(app, entry, check, controller.signal).catch((error: unknown) => {
    if (!controller.signal.aborted) {
      app.logger.error({ err: error, container: entry.id }, "health check has ended");
    }
  });
}

/** The run has ended. */
export function stopHealthCheck(entry: Entry): void {
  entry.healthProbes?.abort();
  entry.healthProbes = undefined;
  if (entry.health !== undefined) entry.health = { ...entry.health, status: "unhealthy" };
}

/** The run is frozen: nobody can tell how it is. */
export function pauseHealthCheck(app: App, entry: Entry): void {
  const before = entry.health;
  stopHealthCheck(entry);
  tellChange(app, entry, before);
}

async function probeLoop(
  app: App,
  entry: Entry,
  check: HealthCheck,
  signal: AbortSignal,
): Promise<void> {
  const { rules } = check;
  const startedAt = performance.now();
  const inStartPeriod = (): boolean => performance.now() - startedAt < rules.startPeriodMs;
  while (!signal.aborted) {
    const health = entry.health ?? startingHealth;
    await pause(nextProbeMs(health, rules, inStartPeriod()), undefined, { signal });
    const early = inStartPeriod();
    const probe = await runProbe(app, entry, check, signal);
    if (signal.aborted || entry.health === undefined) return;
    applyProbe(app, entry, { probe, rules, early });
  }
}

function applyProbe(
  app: App,
  entry: Entry,
  { probe, rules, early }: { probe: Probe; rules: HealthRules; early: boolean },
): void {
  const before = entry.health ?? startingHealth;
  entry.health = afterProbe(before, probe, rules, early);
  tellChange(app, entry, before);
}

function tellChange(app: App, entry: Entry, before: Health | undefined): void {
  const status = entry.health?.status;
  if (status === undefined || status === before?.status) return;
  app.store.append([containerEvent(entry.record, `health_status: ${status}`)]);
}

async function runProbe(
  app: App,
  entry: Entry,
  check: HealthCheck,
  signal: AbortSignal,
): Promise<Probe> {
  const startNano = nowNano();
  try {
    const { exitCode, output } = await execProbe(app, entry, check, signal);
    return { startNano, endNano: nowNano(), exitCode, output };
  } catch (error) {
    if (signal.aborted) throw error;
    const output = error instanceof Error ? error.message : String(error);
    return { startNano, endNano: nowNano(), exitCode: -1, output };
  }
}

async function execProbe(
  app: App,
  entry: Entry,
  check: HealthCheck,
  signal: AbortSignal,
): Promise<Pick<Probe, "exitCode" | "output">> {
  const exec = await declareExec(app, entry, probeOptions(check), true);
  const endpoint = await beginExec(app, entry, exec, {
    detach: false,
    tty: true,
    consoleHeight: 0,
    consoleWidth: 0,
  });
  if (endpoint === undefined) throw new Error("health probe has no stream");
  const socket = await connectData(endpoint, { signal });
  const chunks: Buffer[] = [];
  let kept = 0;
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => {
    if (kept < readBytes) chunks.push(chunk.subarray(0, readBytes - kept));
    kept += chunk.length;
  });
  const drained = new Promise<void>((resolve) => {
    socket.once("close", () => {
      resolve();
    });
    socket.once("end", () => {
      resolve();
    });
  });
  try {
    const exitCode = await endedInTime(exec, check.rules.timeoutMs, signal);
    const late = exitCode === undefined;
    if (late) await endLate(app, entry, exec);
    await drained;
    const output = cutOutput(Buffer.concat(chunks));
    return late
      ? { exitCode: -1, output: lateOutput(check.rules.timeoutMs, output) }
      : { exitCode, output };
  } finally {
    socket.destroy();
  }
}

function probeOptions(check: HealthCheck) {
  return {
    cmd: check.command,
    env: [],
    user: "",
    workingDir: "",
    tty: false,
    privileged: false,
    attachStdin: false,
    attachStdout: true,
    attachStderr: true,
    detachKeys: "",
    consoleHeight: 0,
    consoleWidth: 0,
  };
}

/** Exit code, or undefined when time was up. */
async function endedInTime(
  exec: ExecEntry,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<number | undefined> {
  const timer = new AbortController();
  const stop = AbortSignal.any([signal, timer.signal]);
  try {
    const late = pause(timeoutMs, undefined, { signal: stop });
    return await Promise.race([exec.ended.promise, late]);
  } finally {
    timer.abort();
  }
}

function lateOutput(timeoutMs: number, output: string): string {
  const told = `Health check exceeded timeout (${goDuration(timeoutMs)})`;
  return output === "" ? told : `${told}: ${output}`;
}

/** Resolves when the process is gone, so that late probes do not pile up. */
async function endLate(app: App, entry: Entry, exec: ExecEntry): Promise<void> {
  try {
    await app.shim.signalProcess({ id: entry.id, execId: exec.record.id, signal: sigkill });
  } catch (error) {
    app.logger.debug({ err: error, container: entry.id }, "late health probe is gone already");
  }
  await exec.ended.promise;
}

/** As Go prints a duration: `30s`, `1m0s`, `500ms`. */
function goDuration(ms: number): string {
  if (ms < 1000) return `${String(ms)}ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${String(seconds)}s`;
  const minutes = Math.floor(seconds / 60);
  const rest = `${String(seconds % 60)}s`;
  return minutes < 60
    ? `${String(minutes)}m${rest}`
    : `${String(Math.floor(minutes / 60))}h${String(minutes % 60)}m${rest}`;
}
