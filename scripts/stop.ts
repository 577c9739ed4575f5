/** `npm stop`: stops containers, then the engine, in order, and looks whether anything is left. */
import "./lib/failure.ts";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { type EngineConfig, engineEnvironment, loadConfig } from "@gantry/config";
import { complain, say } from "@gantry/logging";
import { isEngineLocked, loadState } from "@gantry/supervisor";
import { findEngineLeaks } from "@gantry/testkit";
import { supervisorCommand, untilReleased } from "./lib/engine.ts";

/** Containers may ask for long stop times; the supervisor bounds their sum. */
const stopTimeoutMs = 11 * 60_000;

async function stopEngine(config: EngineConfig): Promise<string> {
  const state = loadState(config.runRoot);
  if (state !== undefined && (await isEngineLocked(config.runRoot))) {
    process.kill(state.pid, "SIGTERM");
    await untilReleased(config, stopTimeoutMs);
    return "the engine has stopped";
  }
  const [node, args] = supervisorCommand("stop");
  const left = await findEngineLeaks(config);
  if (left.length === 0) return "the engine does not run";
  if (!existsSync(args[0] ?? "")) throw new Error("nothing is built here to stop the engine with");
  // The supervisor is gone but what it started is not: a new one takes over and stops it in order.
  spawnSync(node, args, {
    env: engineEnvironment(config),
    stdio: ["ignore", "inherit", "inherit"],
  });
  return "the engine has stopped (its supervisor was gone)";
}

const config = loadConfig();
say(await stopEngine(config));
const left = await findEngineLeaks(config);
for (const line of left) complain(`left behind: ${line}`);
if (left.length > 0) process.exitCode = 1;
