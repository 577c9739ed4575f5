/** `npm run restart`: builds what is stale and restarts the services under running containers. */
import "./lib/failure.ts";
import { loadConfig } from "@gantry/config";
import { complain, say } from "@gantry/logging";
import { isEngineLocked, loadState } from "@gantry/supervisor";
import { buildAll } from "./lib/build.ts";
import { untilRestarted } from "./lib/engine.ts";

const config = loadConfig();
await buildAll();
const state = loadState(config.runRoot);
if (state === undefined || !(await isEngineLocked(config.runRoot))) {
  complain("the engine does not run: npm start");
  process.exitCode = 1;
} else {
  process.kill(state.pid, "SIGUSR2");
  await untilRestarted(config, state.generation);
  say("the services have been restarted");
}
