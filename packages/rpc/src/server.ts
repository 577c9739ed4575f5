import type { Http2Session } from "node:http2";
import { setTimeout as after } from "node:timers/promises";
import { internal } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import { Server, ServerCredentials, type ServiceDefinition } from "@grpc/grpc-js";
import { openHealth } from "./health.ts";
import type { Implementation } from "./implement.ts";
import { describeMethod, maxMessageBytes } from "./method-definition.ts";
import { reflectionServices } from "./reflection.ts";
import { placeSocket, removeSocket, type SocketAccess, socketInode } from "./socket-file.ts";
import { ttrpcSocketOf } from "./ttrpc/frames.ts";
import { serveTtrpc } from "./ttrpc/server.ts";

/** Options of serveGrpc. */
export interface ServeOptions {
  /** Where to listen. A stale socket is replaced; a living one is a conflict. */
  readonly socketPath: string;
  readonly services: readonly Implementation[];
  /** Takes one line for each call that failed by a fault of ours. */
  readonly logger: Logger;
  /** Who may connect. Default 0660, own group. */
  readonly access?: SocketAccess;
  /** Whether health answers SERVING from the start. Default true; else call setServing(true) later. */
  readonly serving?: boolean;
}

/** A running gRPC server, with health and reflection. */
export interface GrpcServer extends AsyncDisposable {
  readonly socketPath: string;
  /** What health answers. */
  setServing(serving: boolean): void;
  /**
   * Stops: health says NOT_SERVING, no new calls, running ones get `graceMs` (default 1000) to end
   * and are cut then. Removes the socket, unless a successor has taken its place.
   */
  close(graceMs?: number): Promise<void>;
}

const serverOptions = {
  "grpc.max_receive_message_length": maxMessageBytes,
  "grpc.max_send_message_length": maxMessageBytes,
  "grpc.enable_channelz": 0,
};

/**
 * Starts a gRPC server on a Unix socket, and beside it one that answers the same unary calls over ttrpc
 * (docs/decisions/0009-ttrpc-between-services.md). Resolves when they accept calls.
 */
export async function serveGrpc(options: ServeOptions): Promise<GrpcServer> {
  const { socketPath, logger } = options;
  const server = new Server(serverOptions);
  const health = openHealth(options.services.map((each) => each.service.typeName));
  const own = [...options.services, health.implementation];
  for (const implementation of [...own, ...reflectionServices(own.map((each) => each.service))]) {
    server.addService(definitionOf(implementation), implementation.bind(logger));
  }
  const access = options.access ?? {};
  await placeSocket(socketPath, access, (path) => bind(server, path));
  const handlers = new Map(own.flatMap((each) => [...each.bindEncoded(logger)]));
  const ttrpc = await serveTtrpc({
    ...{ socketPath: ttrpcSocketOf(socketPath), handlers, logger, access },
  });
  const inode = await socketInode(socketPath);
  health.setServing(options.serving ?? true);
  const close = async (graceMs = 1000): Promise<void> => {
    health.setServing(false);
    await removeSocket(socketPath, inode);
    await Promise.all([shutDown(server, graceMs), ttrpc.close(graceMs)]);
  };
  return {
    socketPath,
    setServing: (serving) => health.setServing(serving),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function definitionOf(implementation: Implementation): ServiceDefinition {
  return Object.fromEntries(
    implementation.service.methods.map((method) => [method.localName, describeMethod(method)]),
  );
}

function bind(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve();
      else reject(internal(`listen on ${path}: ${error.message}`, { cause: error }));
    });
  });
}

async function shutDown(server: Server, graceMs: number): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    server.tryShutdown(() => {
      resolve();
    });
  });
  const timer = new AbortController();
  const late = after(graceMs, undefined, { signal: timer.signal }).then(
    () => {
      for (const session of sessionsOf(server)) session.destroy();
      server.forceShutdown();
    },
    () => undefined,
  );
  await Promise.race([ended, late]);
  timer.abort();
}

/**
 * Without channelz grpc-js's forceShutdown knows of no sessions: their calls would go on, and the
 * process with them.
 */
function sessionsOf(server: Server): Http2Session[] {
  const { http2Servers } = server as unknown as {
    http2Servers: ReadonlyMap<unknown, { readonly sessions: ReadonlySet<Http2Session> }>;
  };
  return [...http2Servers.values()].flatMap(({ sessions }) => [...sessions]);
}
