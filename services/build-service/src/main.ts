/** build-service: images from Dockerfiles. Started at the first build, and ends when nothing is left to do. */
import net from "node:net";
import {
  activationDescriptor,
  loadConfig,
  servicePaths,
  socketAccess,
  takeUsualUmask,
  untilTerminated,
} from "@gantry/config";
import { createLogger, logFatalErrors } from "@gantry/logging";
import { openDataListener, serveGrpc } from "@gantry/rpc";
import { Activity } from "./app/activity.ts";
import { compose } from "./compose.ts";

/** Without builds and sessions for so long, the service ends. */
const idleMs = 60_000;

takeUsualUmask();
const config = loadConfig();
const logger = createLogger({ service: "build-service", level: config.logLevel });
logFatalErrors(logger);
const paths = servicePaths(config, "build-service");
const terminated = untilTerminated();

const service = compose(config, paths, logger);
const stopping = new AbortController();
void terminated.then(() => {
  stopping.abort();
});
if (await service.open(stopping.signal)) await serve();
service.close();

async function serve(): Promise<void> {
  const idle = Promise.withResolvers<"idle">();
  const activity = new Activity(idleMs, () => {
    idle.resolve("idle");
  });
  const access = socketAccess(config);
  const data = await openDataListener({ socketPath: paths.dataSocket, logger, access });
  const server = await serveGrpc({
    socketPath: paths.grpcSocket,
    services: service.services(data, activity),
    logger,
    access,
  });
  // Whoever waits for us at systemd's socket has us now.
  const fd = activationDescriptor();
  if (fd !== undefined)
    net
      .createServer((socket) => socket.end())
      .listen({ fd })
      .unref();
  logger.info({}, "serving");

  const reason = await Promise.race([terminated, idle.promise]);
  logger.info({ reason }, "ending");
  activity.close();
  if (reason === "idle") await service.collect(AbortSignal.timeout(idleMs));
  await server.close();
  await data.close();
}
