/** `npm stop`: stops containers, then the engine, in order, and looks whether anything is left. */
import "./lib/failure.ts";
import { type EngineConfig, loadConfig } from "@gantry/config";
import { complain, say } from "@gantry/logging";
import { describeProcess, isEngineLocked, loadState } from "@gantry/supervisor";
import { findEngineLeaks } from "@gantry/testkit";
import { stopAbandoned, untilReleased } from "./lib/engine.ts";

/** Containers may ask for long stop times; the supervisor bounds their sum. */
const stopTimeoutMs = 11 * 60_000;

async function stopEngine(config: EngineConfig): Promise<string> {
  const state = loadState(config.runRoot);
  if (state !== undefined && (await isEngineLocked(config.runRoot))) {
    const supervisor = describeProcess(state.pid);
    process.kill(state.pid, "SIGTERM");
    await untilReleased(config, supervisor, stopTimeoutMs);
    return "the engine has stopped";
  }
  if ((await findEngineLeaks(config)).length === 0) return "the engine does not run";
  await stopAbandoned(config);
  return "the engine has stopped (its supervisor was gone)";
}

const config = loadConfig();
say(await stopEngine(config));
const left = await findEngineLeaks(config);
for (const line of left) complain(`left behind: ${line}`);
if (left.length > 0) process.exitCode = 1;
