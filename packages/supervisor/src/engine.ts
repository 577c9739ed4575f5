/** The engine as a whole: its programs in order. */
import { chmodSync, mkdirSync } from "node:fs";
import path from "node:path";
import { type EngineConfig, servicePaths, wakeSocketPath } from "@gantry/config";
import { toEngineError } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import { SystemService } from "@gantry/proto/system";
import { openChannel } from "@gantry/rpc";
import { rotateLog } from "./log-file.ts";
import { findNatsServer, natsProgram } from "./nats-program.ts";
import {
  compileCacheOf,
  onDemandServices,
  type Program,
  serviceOrder,
  serviceProgram,
} from "./program.ts";
import { SupervisedProcess } from "./supervised-process.ts";
import { openWakeSocket, type WakeSocket } from "./wake-socket.ts";

/** Options of openEngine. */
export interface EngineOptions {
  readonly config: EngineConfig;
  readonly logger: Logger;
  /** Folder of the services' bundles: `<programs>/<service>/main.mjs`. */
  readonly programs: string;
}

/** Folder of process records. */
export const recordDir = (runRoot: string): string => path.join(runRoot, "processes");

/**
 * Longest time that stopping all containers may take. Containers have stop time-outs of their own; the
 * container service kills what outlives them.
 */
const shutdownTimeoutMs = 10 * 60_000;

/** All programs of the engine. */
export class Engine {
  readonly #config: EngineConfig;
  readonly #logger: Logger;
  readonly #nats: SupervisedProcess | undefined;
  /** In the order of their start. */
  readonly #services: readonly SupervisedProcess[];
  /** Started when they are wanted. */
  readonly #onDemand: readonly SupervisedProcess[];
  readonly #wakeSockets: WakeSocket[] = [];
  #rotation: NodeJS.Timeout | undefined;

  constructor(options: EngineOptions) {
    const { config, logger, programs } = options;
    this.#config = config;
    this.#logger = logger;
    this.#nats = this.#openNats();
    this.#services = serviceOrder.map((name) =>
      this.#supervise(serviceProgram(config, programs, name)),
    );
    this.#onDemand = onDemandServices.map((name) =>
      this.#supervise(serviceProgram(config, programs, name)),
    );
  }

  /** Starts everything in order, each when the one before is ready. */
  async start(): Promise<void> {
    mkdirSync(this.#config.runRoot, { recursive: true, mode: 0o755 });
    mkdirSync(this.#config.dataRoot, { recursive: true, mode: 0o711 });
    // Node would make it for everybody.
    const cache = compileCacheOf(this.#config.dataRoot);
    mkdirSync(cache, { recursive: true, mode: 0o700 });
    chmodSync(cache, 0o700);
    // Nobody waits for NATS: events are kept until it is there.
    this.#nats?.start().catch((error: unknown) => {
      this.#logger.error({ err: error }, "NATS did not start");
    });
    for (const service of this.#onDemand) {
      const path = wakeSocketPath(this.#config, service.name);
      const onWake = (): Promise<void> => service.ensure();
      this.#wakeSockets.push(await openWakeSocket({ path, onWake, logger: this.#logger }));
    }
    for (const service of this.#services) await service.start();
    this.#rotation = setInterval(() => {
      for (const { name } of this.#all()) rotateLog(this.#config.dataRoot, name);
    }, 60_000);
  }

  /** Restarts the services, one after the other, under running containers. */
  async restartServices(): Promise<void> {
    for (const service of [...this.#services, ...this.#onDemand]) await service.restart();
  }

  /** Tells the services to read their configuration again. */
  reload(): void {
    for (const service of [...this.#services, ...this.#onDemand]) service.signal("SIGHUP");
  }

  /** Stops containers, then everything. Returns a line for each thing that could not be ended. */
  async stop(): Promise<string[]> {
    const problems = await this.#stopContainers();
    await this.end();
    return problems;
  }

  /** Ends our programs, latest first; containers run on. */
  async end(): Promise<void> {
    clearInterval(this.#rotation);
    for (const socket of this.#wakeSockets.splice(0)) await socket[Symbol.asyncDispose]();
    for (const each of this.#all().toReversed()) await each.stop();
  }

  #all(): SupervisedProcess[] {
    const nats = this.#nats === undefined ? [] : [this.#nats];
    return [...nats, ...this.#services, ...this.#onDemand];
  }

  async #stopContainers(): Promise<string[]> {
    using channel = openChannel(servicePaths(this.#config, "container-service").grpcSocket);
    try {
      await channel.ready(15_000);
      const answer = await channel
        .client(SystemService)
        .shutdown({}, { timeoutMs: shutdownTimeoutMs });
      return answer.unkillable.map((id) => `container ${id} cannot be killed`);
    } catch (error) {
      this.#logger.error({ err: error }, "containers were not stopped");
      return [`containers were not stopped: ${toEngineError(error).message}`];
    }
  }

  #openNats(): SupervisedProcess | undefined {
    if (this.#config.externalNatsUrl !== undefined) return undefined;
    const file = findNatsServer(this.#config.natsServer);
    if (file === undefined) {
      this.#logger.error(
        {},
        "no nats-server on this machine: events stay in the logs of the services",
      );
      return undefined;
    }
    return this.#supervise(natsProgram(this.#config, file));
  }

  #supervise(program: Program): SupervisedProcess {
    const { dataRoot, runRoot } = this.#config;
    const logger = this.#logger;
    return new SupervisedProcess({ program, logger, dataRoot, recordDir: recordDir(runRoot) });
  }
}
