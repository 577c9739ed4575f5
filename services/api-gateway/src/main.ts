/** Starts the gateway and ends it at a signal. */
import { parseArgs } from "node:util";
import { loadConfig, onReload, takeUsualUmask, untilTerminated } from "@gantry/config";
import { createLogger, logFatalErrors } from "@gantry/logging";
import { openGateway } from "./gateway.ts";

/** `-H` adds to daemon.json's `hosts`. */
function hostsOfCommandLine(): string[] {
  const { values } = parseArgs({
    options: { host: { type: "string", short: "H", multiple: true } },
  });
  return values.host ?? [];
}

takeUsualUmask();
const loaded = loadConfig();
const config = { ...loaded, hosts: [...loaded.hosts, ...hostsOfCommandLine()] };
const logger = createLogger({ service: "api-gateway", level: config.logLevel });
logFatalErrors(logger);

try {
  const gateway = await openGateway({ config, logger });
  using _reload = onReload({
    onConfig: (next) => {
      gateway.reconfigure(next);
      logger.info({}, "configuration reloaded");
    },
    onProblem: (error) => {
      logger.error({ err: error }, "configuration is wrong, keeping the old one");
    },
  });
  logger.info({ addresses: gateway.addresses }, "listening");
  const signal = await untilTerminated();
  logger.info({ signal }, "stopping");
  await gateway.close();
} catch (error) {
  logger.fatal({ err: error }, "could not start");
  process.exitCode = 1;
}
