/** image-service: content, images, registries, snapshots. Composition root. */
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
import { compose } from "./compose.ts";

takeUsualUmask();
const config = loadConfig();
const logger = createLogger({ service: "image-service", level: config.logLevel });
logFatalErrors(logger);
const paths = servicePaths(config, "image-service");
const terminated = untilTerminated();

const service = await compose(config, paths, logger);
const access = socketAccess(config);
const data = await openDataListener({ socketPath: paths.dataSocket, logger, access });
const server = await serveGrpc({
  socketPath: paths.grpcSocket,
  services: service.services(data),
  logger,
  access,
});
const outbox = startOutbox({ log: service.events, logger, natsUrl: () => readNatsUrl(config) });
using _reload = onReload({
  onConfig: (changed) => {
    service.reconfigure(changed);
    logger.setLevel(changed.logLevel);
  },
  onProblem: (error) => {
    logger.error({ err: error }, "configuration stays as it was");
  },
});
logger.info({ images: service.store.metadata.images.size }, "serving");

const signal = await terminated;
logger.info({ signal }, "ending");
await server.close();
await data.close();
await outbox.close();
await service.close();
