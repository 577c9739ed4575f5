/** What the supervisor runs: how each program is started, and how it is known to be ready. */
import { existsSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import {
  type EngineConfig,
  engineEnvironment,
  type ServiceName,
  servicePaths,
  socketAccess,
} from "@gantry/config";
import { unavailable } from "@gantry/errors";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@gantry/proto/grpc-health";
import { openChannel } from "@gantry/rpc";
import { HeldSocket } from "./held-socket.ts";

/** One program of the engine. */
export interface Program {
  /** Name of its log and of its record. */
  readonly name: string;
  /** Asked at every start. */
  command(): readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Rejects while the program does not answer as it should. Asked again until it does. */
  probe(signal: AbortSignal): Promise<void>;
  /** How long an orderly end may take before SIGKILL. */
  readonly stopTimeoutMs: number;
  /** Where it is asked, held open between its processes: descriptor 3 of each (sd_listen_fds(3)). */
  readonly socket?: HeldSocket;
  /** It is started when it is wanted, and ends with code 0 when it has nothing to do. */
  readonly endsByItself?: boolean;
}

/** The services, in the order of their start. */
export const serviceOrder = ["image-service", "container-service", "api-gateway"] as const;

/** Services that are started when they are wanted. */
export const onDemandServices = ["build-service"] as const;

const quiet = "--disable-warning=ExperimentalWarning";

/**
 * Options of Node in services that stay: heaps of a local control plane are small, and resident memory is
 * a promise (docs/performance.md). Code is interpreted, or, where it is hot, compiled by V8's middle tier.
 */
const smallNode = [
  "--max-semi-space-size=1",
  "--v8-pool-size=1",
  "--no-turbofan",
  "--no-sparkplug",
  quiet,
];

/** Node's own ways, for services that end when they have nothing to do: they are to be quick, not small. */
const quickNode = [quiet];

/** Path of a service's bundle in the folder of all programs. */
const bundleOf = (programs: string, name: string): string => path.join(programs, name, "main.mjs");

/** Where Node keeps what it has compiled of the services. */
export function compileCacheOf(dataRoot: string): string {
  return path.join(dataRoot, "compile-cache");
}

/** A service of the engine as a program. `programs` is the folder of the bundles. */
export function serviceProgram(config: EngineConfig, programs: string, name: ServiceName): Program {
  const entry = bundleOf(programs, name);
  const endsByItself = onDemandServices.some((each) => each === name);
  return {
    name,
    command: () => [process.execPath, ...(endsByItself ? quickNode : smallNode), entry],
    env: {
      ...engineEnvironment(config),
      // One arena for all threads: some MiB less, and no thread here allocates much.
      MALLOC_ARENA_MAX: "1",
      NODE_COMPILE_CACHE: compileCacheOf(config.dataRoot),
    },
    probe: (signal) =>
      name === "api-gateway"
        ? ping(config.dockerSocket, signal)
        : checkHealth(servicePaths(config, name).grpcSocket, signal),
    ...(name === "api-gateway" && {
      socket: new HeldSocket(config.dockerSocket, socketAccess(config)),
    }),
    stopTimeoutMs: 10_000,
    endsByItself,
  };
}

/** Throws when a bundle is missing: nothing has been built. */
export function assertBuilt(programs: string): void {
  for (const name of [...serviceOrder, ...onDemandServices]) {
    const file = bundleOf(programs, name);
    if (!existsSync(file)) throw unavailable(`${file} is missing: build first`);
  }
}

/** grpc.health.v1 of the whole server. */
async function checkHealth(socketPath: string, signal: AbortSignal): Promise<void> {
  using channel = openChannel(socketPath);
  const { status } = await channel.client(Health).check({ service: "" }, { signal });
  if (status !== Status.SERVING) throw unavailable(`${socketPath} is not serving yet`);
}

/** Docker's own liveness check. */
function ping(socketPath: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath, path: "/_ping", signal, agent: false }, (response) => {
      response.resume();
      if (response.statusCode === 200) resolve();
      else reject(unavailable(`/_ping answered ${String(response.statusCode)}`));
    });
    request.once("error", reject);
  });
}
