/** One probe: an exec of the container's, with a limit to its time. */
import { setTimeout as pause } from "node:timers/promises";
import { nowNano } from "@gantry/events";
import { connectData } from "@gantry/rpc";
import { cutOutput, type Probe } from "../domain/health.ts";
import { type HealthCheck, healthCheckOf } from "../domain/health-check.ts";
import type { App } from "./context.ts";
import { declareExec } from "./create-exec.ts";
import type { Entry } from "./entry.ts";
import { execReportMs } from "./exec-ended.ts";
import type { ExecEntry } from "./exec-table.ts";
import { beginExec } from "./start-exec.ts";

const sigkill = 9;
/** More than is kept, so that a chatty probe can be cut with its end known. */
const readBytes = 4097;

/** Runs a probe to its end; what keeps it from running is its output. Rejects when the signal aborts. */
export async function runProbe(
  app: App,
  entry: Entry,
  { check, id }: { readonly check: HealthCheck; readonly id: string },
  signal: AbortSignal,
): Promise<Probe> {
  const startNano = nowNano();
  try {
    const { exitCode, output } = await execProbe(app, entry, { check, id }, signal);
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
  { check, id }: { readonly check: HealthCheck; readonly id: string },
  signal: AbortSignal,
): Promise<Pick<Probe, "exitCode" | "output">> {
  const exec = await declareExec(app, entry, probeOptions(check), id);
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

/**
 * Listens for the end of a probe that may have been under way when the service before ended. Call it before the
 * container is adopted, which tells of it.
 */
export function expectLeftProbe(app: App, entry: Entry): ExecEntry | undefined {
  const check = healthCheckOf(entry.record.config);
  if (check === undefined || entry.health === undefined) return undefined;
  const { detachKeys, ...asked } = probeOptions(check);
  const state = { status: "created" } as const;
  const id = entry.health.nextProbe;
  return app.execs.add({ ...asked, detachKeys, id, containerId: entry.id, state }, true);
}

/** @param pid what adoption found of it: 0 when it has ended meanwhile, or had not begun. */
export function adoptLeftProbe(app: App, left: ExecEntry, pid: number): void {
  if (left.record.state.status === "ended") return;
  if (pid !== 0) {
    left.record = { ...left.record, state: { status: "running", pid } };
    return;
  }
  // Its end is told soon, if it had begun.
  setTimeout(() => {
    app.execs.remove(left.record.id);
  }, execReportMs).unref();
}

/**
 * Ends probes whose answers nobody waits for any more, since a pause or a service that is gone; resolves when they
 * are gone. Not while the container is frozen: a kill thaws it. Never rejects.
 */
export async function endLeftProbes(app: App, entry: Entry): Promise<void> {
  const left = app.execs
    .of(entry.id)
    .filter(({ transient, record }) => transient && record.state.status === "running");
  await Promise.all(left.map((exec) => endLate(app, entry, exec)));
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

/** Resolves when the process is gone, so that late probes do not pile up. Never rejects. */
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
