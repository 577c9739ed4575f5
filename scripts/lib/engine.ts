/** Talking to the engine that the environment names (GANTRY_RUN_ROOT …). */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type EngineConfig, engineEnvironment } from "@gantry/config";
import {
  isAlive,
  isEngineLocked,
  loadState,
  logPath,
  type ProcessRecord,
} from "@gantry/supervisor";
import { inRoot, node } from "./repository.ts";

const pollMs = 25;

/** How long the engine may take to start. */
const startTimeoutMs = 120_000;

const supervisorProgram = inRoot("dist/supervisor/main.mjs");

/** Starts a supervisor in a session of its own, with its log where it belongs. */
function spawnSupervisor(config: EngineConfig, log: string, ...words: string[]): ChildProcess {
  mkdirSync(path.dirname(log), { recursive: true, mode: 0o700 });
  const descriptor = openSync(log, "a", 0o600);
  const child = spawn(node, [supervisorProgram, ...words], {
    cwd: "/",
    env: {
      ...engineEnvironment(config),
      NODE_COMPILE_CACHE: path.join(config.dataRoot, "compile-cache"),
    },
    stdio: ["ignore", descriptor, descriptor],
    detached: true,
  });
  closeSync(descriptor);
  return child;
}

/** Starts the supervisor in the background and waits until the engine is ready. */
export async function startSupervisor(config: EngineConfig): Promise<void> {
  const log = logPath(config.dataRoot, "supervisor");
  const child = spawnSupervisor(config, log);
  child.unref();
  await untilReady(config, child, log);
}

/** Has a new supervisor take over an engine whose own is gone, and stop it in order. */
export async function stopAbandoned(config: EngineConfig): Promise<void> {
  if (!existsSync(supervisorProgram)) {
    throw new Error("nothing is built here to stop the engine with: npm run build");
  }
  const log = logPath(config.dataRoot, "supervisor");
  const child = spawnSupervisor(config, log, "stop");
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) throw new Error(`the engine could not be stopped\n${tail(log)}`);
}

async function untilReady(config: EngineConfig, child: ChildProcess, log: string): Promise<void> {
  const until = performance.now() + startTimeoutMs;
  for (;;) {
    const state = loadState(config.runRoot);
    const own = state?.pid === child.pid ? state : undefined;
    if (own?.phase === "ready") return;
    const logs = `logs: ${path.dirname(log)}`;
    if (own?.phase === "failed") {
      throw new Error(`the engine did not start: ${own.problem}\n${logs}`);
    }
    const why = hasEnded(child) ? "its supervisor ended" : "it took too long";
    if (hasEnded(child) || performance.now() > until) {
      throw new Error(`the engine did not start: ${why}\n${tail(log)}\n${logs}`);
    }
    await pause(pollMs);
  }
}

const hasEnded = (child: ChildProcess): boolean =>
  child.exitCode !== null || child.signalCode !== null;

/** Resolves when the engine is free and this supervisor gone, which lets go of it a little before its end. */
export async function untilReleased(
  config: EngineConfig,
  supervisor: ProcessRecord | undefined,
  timeoutMs: number,
): Promise<void> {
  const until = performance.now() + timeoutMs;
  const runs = (): boolean => supervisor !== undefined && isAlive(supervisor);
  while ((await isEngineLocked(config.runRoot)) || runs()) {
    if (performance.now() > until)
      throw new Error("the engine is still stopping; look at its logs");
    await pause(pollMs);
  }
}

/** Resolves when a restart that began after `generation` is done. */
export async function untilRestarted(config: EngineConfig, generation: number): Promise<void> {
  const until = performance.now() + startTimeoutMs;
  for (;;) {
    const state = loadState(config.runRoot);
    // What an earlier restart came to says nothing of this one.
    const own = state !== undefined && state.generation > generation ? state : undefined;
    if (own?.phase === "ready") return;
    if (own?.phase === "failed") throw new Error(`restart failed: ${own.problem}`);
    if (performance.now() > until) throw new Error("the restart took too long");
    await pause(pollMs);
  }
}

function tail(file: string): string {
  return readFileSync(file, "utf8").trimEnd().split("\n").slice(-8).join("\n");
}
