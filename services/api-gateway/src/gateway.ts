/** The whole gateway: channels to the services, both protocol servers, listeners. */
import type http from "node:http";
import type { EngineConfig } from "@gantry/config";
import { activationDescriptor, servicePaths, socketAccess, wakeSocketPath } from "@gantry/config";
import { invalidArgument } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import { openBackends } from "./backends.ts";
import { AccessLog } from "./http/access-log.ts";
import { createApiServer } from "./http/api-server.ts";
import { Dispatcher } from "./http/dispatcher.ts";
import { allRoutes } from "./http/routes/all.ts";
import { ConnectionBudget } from "./listen/connection-budget.ts";
import type { ProtocolTakers } from "./listen/protocol-switch.ts";
import { listenTcp } from "./listen/tls-listener.ts";
import { type Listener, listenUnix } from "./listen/unix-listener.ts";
import { RpcEdge } from "./rpc/rpc-edge.ts";

/** Options of openGateway. */
export interface GatewayOptions {
  readonly config: EngineConfig;
  readonly logger: Logger;
  /** Connections at once. Default 4096. */
  readonly maxConnections?: number;
}

/** A running gateway. */
export interface Gateway extends AsyncDisposable {
  /** Where it listens. */
  readonly addresses: readonly string[];
  /** Applies a changed configuration: the log level. */
  reconfigure(config: EngineConfig): void;
  /** Stops listening and cuts every connection. */
  close(): Promise<void>;
}

/** Opens everything. Resolves when all listeners accept connections. */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const { config, logger } = options;
  const channels = openBackends({
    containerService: servicePaths(config, "container-service").grpcSocket,
    imageService: servicePaths(config, "image-service").grpcSocket,
    buildService: servicePaths(config, "build-service").grpcSocket,
    buildWake: wakeSocketPath(config, "build-service"),
  });
  const accessLog = new AccessLog(logger, logsRequests(config));
  const dispatcher = new Dispatcher({
    routes: allRoutes,
    backends: channels.backends,
    logger,
    accessLog,
  });
  const edge = new RpcEdge({ channels, logger, api: dispatcher });
  const server = createApiServer(dispatcher, edge);
  const budget = new ConnectionBudget(options.maxConnections ?? 4096);
  const listeners = await listenAll(config, logger, takersOf(server, edge), budget);
  const close = async (): Promise<void> => {
    await Promise.all(listeners.map((each) => each.close()));
    edge.close();
    budget.destroyAll();
    server.close();
    channels[Symbol.dispose]();
  };
  return {
    addresses: listeners.map((each) => each.address),
    reconfigure(next) {
      logger.setLevel(next.logLevel);
      accessLog.setEnabled(logsRequests(next));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

const logsRequests = ({ logLevel }: EngineConfig): boolean =>
  logLevel === "debug" || logLevel === "trace";

function takersOf(server: http.Server, edge: RpcEdge): ProtocolTakers {
  return {
    http1: (socket) => {
      server.emit("connection", socket);
    },
    http2: (socket) => {
      edge.takeConnection(socket);
    },
  };
}

/** docker.sock and the service's own socket always; beside them what `hosts` asks for. */
async function listenAll(
  config: EngineConfig,
  logger: Logger,
  takers: ProtocolTakers,
  budget: ConnectionBudget,
): Promise<Listener[]> {
  const access = socketAccess(config);
  const unixHosts = config.hosts
    .filter((host) => host.startsWith("unix://"))
    .map((host) => host.slice("unix://".length));
  const paths = [
    ...new Set([config.dockerSocket, servicePaths(config, "api-gateway").grpcSocket, ...unixHosts]),
  ];
  const tcpHosts = config.hosts.filter((host) => host.startsWith("tcp://"));
  const unknown = config.hosts.find((host) => !/^(unix|tcp):\/\//.test(host));
  if (unknown !== undefined) {
    throw invalidArgument(`${unknown}: hosts are unix:///path or tcp://address:port`);
  }
  const listeners: Listener[] = [];
  try {
    for (const path of paths) {
      const descriptor = path === config.dockerSocket ? activationDescriptor() : undefined;
      listeners.push(await listenUnix({ path, access, takers, budget, descriptor }));
    }
    for (const host of tcpHosts) {
      listeners.push(await listenTcp({ host, tls: config.tls, logger, takers, budget }));
    }
    return listeners;
  } catch (error) {
    await Promise.all(listeners.map((each) => each.close()));
    throw error;
  }
}
