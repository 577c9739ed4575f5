/** container-service: containers, networks and volumes. Composition root. */
import {
  loadConfig,
  onReload,
  readNatsUrl,
  servicePaths,
  socketAccess,
  takeUsualUmask,
  untilTerminated,
} from "@gantry/config";
import { startOutbox } from "@gantry/events";
import { createLogger, logFatalErrors } from "@gantry/logging";
import { openDataListener, serveGrpc } from "@gantry/rpc";
import { followImageNames } from "./app/image-names.ts";
import { followProcesses } from "./app/process-events.ts";
import { recover, resume } from "./app/recover.ts";
import { sweepExecs } from "./app/sweep-execs.ts";
import { compose } from "./compose.ts";

takeUsualUmask();
const config = loadConfig();
const logger = createLogger({ service: "container-service", level: config.logLevel });
logFatalErrors(logger);
const paths = servicePaths(config, "container-service");
const terminated = untilTerminated();

const service = await compose(config, logger);
const { app } = service;
void followProcesses(app);
await app.networking.open();
await app.volumes.open();
await recover(app);

const access = socketAccess(config);
const data = await openDataListener({ socketPath: paths.dataSocket, logger, access });
const server = await serveGrpc({
  socketPath: paths.grpcSocket,
  services: service.services(data),
  logger,
  access,
});
const outbox = startOutbox({
  log: service.database.log,
  logger,
  natsUrl: () => readNatsUrl(config),
});
using _reload = onReload({
  onConfig: service.reconfigure,
  onProblem: (error) => {
    logger.error({ err: error }, "configuration stays as it was");
  },
});
using _sweep = sweepExecs(app);
logger.info({ containers: app.registry.list().length }, "serving");
void resume(app);
void followImageNames(app);

const signal = await terminated;
logger.info({ signal }, "ending");
await server.close();
await data.close();
await outbox.close();
try {
  await service.close();
} catch (error) {
  logger.error({ err: error }, "ended without keeping everything");
  process.exitCode = 1;
}
