/** The served form: ShimService over gRPC on `<run>/shim.sock`. */
import path from "node:path";
import { loadConfig, takeUsualUmask, untilTerminated } from "@gantry/config";
import { createLogger } from "@gantry/logging";
import { ShimService } from "@gantry/proto/shim";
import { implement, serveGrpc } from "@gantry/rpc";
import { createShim } from "./create-shim.ts";
import { shimHandlers } from "./rpc/handlers.ts";

takeUsualUmask();
const config = loadConfig();
const logger = createLogger({ service: "shim", level: config.logLevel });
const shim = createShim({
  runRoot: config.runRoot,
  cacheDir: path.join(config.dataRoot, "shim", "seccomp"),
  cgroupParent: config.cgroupParent,
  natsUrlPath: path.join(config.runRoot, "nats.url"),
  logger,
});
const server = await serveGrpc({
  // Only the engine itself talks to it.
  access: { mode: 0o600 },
  socketPath: path.join(config.runRoot, "shim.sock"),
  services: [implement(ShimService, shimHandlers(shim))],
  logger,
});
logger.info({ socket: server.socketPath }, "serving");
await untilTerminated();
await server.close();
await shim.close();
// Descriptors of the addon may still be watched for processes that are to run on.
process.exit(0);
