/**
 * Keeps the name servers of running containers true: remembers for each what it has not been told yet, and
 * tells it. What is told is made from the registry at that moment, so that whatever happened meanwhile, or was
 * lost on the way, comes out right.
 */
import { setTimeout } from "node:timers/promises";
import { EngineError, hasKind } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import type { UpstreamServer } from "../../domain/network/container-files.ts";
import {
  type NameMember,
  type NamesChange,
  type NameTable,
  namesVersion,
  splitTable,
} from "../../domain/network/name-table.ts";
import type { NameServers, NamesUpdate } from "../../ports/network-host.ts";
import { buildTable, memberOf, type TableSources } from "./name-tables.ts";

/** Between two tries to reach a process that does not answer. */
const retryMs = 1_000;
/** Before the whole table is sent again after it was sent whole and was not enough; doubles up to `retryMs`. */
const firstResendMs = 50;

/** What a container's name server depends on besides the registry. */
export interface NameSettings {
  readonly upstreams: readonly UpstreamServer[];
  readonly keepSingleLabels: boolean;
}

interface Server {
  readonly settings: NameSettings;
  /** The container runs, so its server can be told something. */
  reachable: boolean;
  /** Everything has to be told anew. */
  stale: boolean;
  /** Container IDs by network ID. */
  changed: Map<string, Set<string>>;
  telling: boolean;
}

export interface NameKeeperOptions extends TableSources {
  readonly servers: NameServers;
  readonly logger: Logger;
  /** Waits. Default: a timer that does not keep the process. */
  readonly pause?: (ms: number) => Promise<unknown>;
}

export class NameKeeper {
  readonly #options: NameKeeperOptions;
  readonly #servers = new Map<string, Server>();
  #closed = false;

  constructor(options: NameKeeperOptions) {
    this.#options = options;
  }

  /** Whether the container has a name server, or gets one with its launch. */
  has(containerId: string): boolean {
    return this.#servers.has(containerId);
  }

  /** The table for the launch; changes from now on are told when it runs. */
  prepare(containerId: string, settings: NameSettings): NameTable {
    this.#put(containerId, settings, { reachable: false, stale: false });
    return buildTable(this.#options, containerId, settings);
  }

  /** The container runs. */
  launched(containerId: string): void {
    const server = this.#servers.get(containerId);
    if (server === undefined) return;
    server.reachable = true;
    this.#tell(containerId, server);
  }

  /** Everything has to be told to a running container, which may have no server yet. */
  renew(containerId: string, settings: NameSettings | undefined): void {
    const known = this.#servers.get(containerId);
    const wanted = settings ?? known?.settings;
    if (wanted === undefined) return;
    const server = this.#put(containerId, wanted, {
      reachable: known?.reachable ?? true,
      stale: true,
    });
    this.#tell(containerId, server);
  }

  /** Somebody came into a network, left it, or has other names there. */
  changed(networkId: string, memberId: string): void {
    for (const { container } of this.#options.registry.liveMembers(networkId)) {
      const { containerId } = container;
      const server = this.#servers.get(containerId);
      if (server === undefined) continue;
      const members = server.changed.get(networkId) ?? new Set();
      server.changed.set(networkId, members.add(memberId));
      this.#tell(containerId, server);
    }
  }

  /** The container has ended, or its launch failed. */
  forget(containerId: string): void {
    this.#servers.delete(containerId);
  }

  /** Nobody is told anything any more. */
  close(): void {
    this.#closed = true;
    this.#servers.clear();
  }

  #put(
    containerId: string,
    settings: NameSettings,
    state: { readonly reachable: boolean; readonly stale: boolean },
  ): Server {
    // Whoever still tells the one before finds it replaced and stops.
    const server: Server = { settings, ...state, changed: new Map(), telling: false };
    this.#servers.set(containerId, server);
    return server;
  }

  #tell(containerId: string, server: Server): void {
    if (!server.reachable || server.telling) return;
    server.telling = true;
    this.#tellAll(containerId, server)
      .catch((error: unknown) => {
        this.#options.logger.error({ err: error, container: containerId }, "names were not told");
      })
      .finally(() => {
        server.telling = false;
      });
  }

  async #tellAll(containerId: string, server: Server): Promise<void> {
    // What happens in this turn of the event loop goes out together.
    await Promise.resolve();
    const { pause = timer } = this.#options;
    let resendMs = 0;
    while (!this.#closed && this.#servers.get(containerId) === server) {
      const update = this.#take(containerId, server);
      if (update === undefined) return;
      try {
        await this.#options.servers.update(containerId, update);
        resendMs = 0;
      } catch (error) {
        if (!(error instanceof EngineError)) throw error;
        if (this.#servers.get(containerId) !== server || hasKind(error, "conflict")) return;
        server.stale = true;
        if (hasKind(error, "invalid_argument")) throw error;
        if (hasKind(error, "not_found")) {
          // It has not heard of a network yet. The whole table says it all: but for the first time, no hurry.
          if (resendMs > 0) await pause(resendMs);
          resendMs = resendMs === 0 ? firstResendMs : Math.min(resendMs * 2, retryMs);
          continue;
        }
        this.#options.logger.warn({ err: error, container: containerId }, "name server is silent");
        await pause(retryMs);
      }
    }
  }

  /** What the server does not know yet; from then on it counts as told. */
  #take(containerId: string, server: Server): NamesUpdate | undefined {
    const { changed } = server;
    server.changed = new Map();
    if (server.stale) {
      server.stale = false;
      return splitTable(buildTable(this.#options, containerId, server.settings));
    }
    if (changed.size === 0) return undefined;
    return { changes: [...changed].map(([networkId, ids]) => this.#change(networkId, ids)) };
  }

  #change(networkId: string, ids: ReadonlySet<string>): NamesChange {
    const put: NameMember[] = [];
    const drop: string[] = [];
    for (const id of ids) {
      const member = memberOf(this.#options.registry, networkId, id);
      if (member === undefined) drop.push(id);
      else put.push(member);
    }
    return { version: namesVersion, networkId, put, drop };
  }
}

function timer(ms: number): Promise<unknown> {
  return setTimeout(ms, undefined, { ref: false });
}
