/**
 * The development supervisor (in production systemd does this job: see deploy/).
 *
 *   main.mjs          runs the engine until SIGTERM or SIGINT, which stop it in order, containers first
 *   main.mjs stop     for an engine whose supervisor is gone: takes it over and stops it in order
 *
 * `--programs <folder>`: where the services' bundles are, `<folder>/<service>/main.mjs`; default: beside
 * this one's folder.
 * SIGUSR2 restarts the services only; SIGHUP makes them read their configuration again.
 */
import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { loadConfig, takeUsualUmask, untilTerminated } from "@gantry/config";
import { toEngineError } from "@gantry/errors";
import { createLogger } from "@gantry/logging";
import { Engine, recordDir } from "./engine.ts";
import { takeEngineLock } from "./engine-lock.ts";
import { type Phase, removeState, saveState } from "./engine-state.ts";
import { assertBuilt } from "./program.ts";

const { values, positionals } = parseArgs({
  options: { programs: { type: "string", default: path.dirname(import.meta.dirname) } },
  allowPositionals: true,
});
const programs = path.resolve(values.programs);
takeUsualUmask();
const config = loadConfig();
const logger = createLogger({ service: "supervisor", level: config.logLevel });
mkdirSync(config.runRoot, { recursive: true, mode: 0o755 });
await using _lock = await takeEngineLock(config.runRoot);
assertBuilt(programs);
const engine = new Engine({ config, logger, programs });

let generation = 0;
const report = (phase: Phase, problem = ""): Promise<void> =>
  saveState(config.runRoot, { pid: process.pid, phase, generation, problem });

/** One restart at a time: a second request waits for the first. */
let restarting: Promise<void> = Promise.resolve();
async function restart(): Promise<void> {
  generation += 1;
  await report("restarting");
  await engine.restartServices();
  await report("ready");
}

function onFailure(error: unknown): void {
  logger.error({ err: error }, "restart failed");
  void report("failed", toEngineError(error).message);
}

async function start(): Promise<void> {
  await report("starting");
  await engine.start();
  await report("ready");
  logger.info({ socket: config.dockerSocket }, "engine is ready");
}

const terminated = untilTerminated();
process.on("SIGHUP", () => {
  engine.reload();
});
process.on("SIGUSR2", () => {
  restarting = restarting.then(restart).catch(onFailure);
});

const started = start().then(
  () => "started" as const,
  async (error: unknown) => {
    logger.fatal({ err: error }, "engine did not start");
    await report("failed", toEngineError(error).message);
    return "failed" as const;
  },
);
if (positionals[0] === "stop") await started;
else if ((await Promise.race([started, terminated])) === "started") await terminated;

const outcome = await Promise.race([started, Promise.resolve("starting" as const)]);
if (outcome === "failed") {
  // The state stays: who waits for the start reads why it failed.
  await engine.end();
} else {
  await report("stopping");
  for (const problem of await engine.stop()) logger.error({ problem }, "not stopped");
}
rmSync(recordDir(config.runRoot), { recursive: true, force: true });
for (const name of ["nats.url", "nats.conf", "nats-ports"]) {
  rmSync(path.join(config.runRoot, name), { recursive: true, force: true });
}
if (outcome === "failed") process.exitCode = 1;
else removeState(config.runRoot);
