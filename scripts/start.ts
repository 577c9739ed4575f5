/** `npm start`: builds what is stale, starts the engine in the background, runs hello-world. */
import "./lib/failure.ts";
import path from "node:path";
import { loadConfig } from "@gantry/config";
import { complain, say } from "@gantry/logging";
import { isEngineLocked } from "@gantry/supervisor";
import { debianProgram } from "@gantry/testkit/debian";
import { buildAll } from "./lib/build.ts";
import { findDockerCli } from "./lib/docker-cli.ts";
import { startSupervisor } from "./lib/engine.ts";
import { runHelloWorld } from "./lib/hello-run.ts";

const config = loadConfig();
await buildAll();
if (config.externalNatsUrl === undefined && config.natsServer === undefined) {
  // The supervisor looks into the same cache folder.
  await debianProgram("nats-server", "/usr/sbin/nats-server").catch((error: unknown) => {
    complain(`no NATS server, events stay in the engine: ${String(error)}`);
  });
}
if (await isEngineLocked(config.runRoot)) {
  say("the engine is running already (npm run restart brings new code into it)");
} else {
  await startSupervisor(config);
  say("the engine is running");
}
const docker = await findDockerCli();
await runHelloWorld(docker.program, config.dockerSocket);
say();
if (!docker.isOnPath) say(`export PATH=$PATH:${path.dirname(docker.program)}`);
say(`export DOCKER_HOST=unix://${config.dockerSocket}`);
