/** gantry.system.v1.SystemService: translation only. */
import { readdirSync } from "node:fs";
import type { EngineConfig } from "@gantry/config";
import { SystemService } from "@gantry/proto/system";
import { type Implementation, implement } from "@gantry/rpc";
import type { App } from "../app/context.ts";
import {
  countContainers,
  hostCapabilities,
  hostWarnings,
  securityOptions,
} from "../app/engine-info.ts";
import { shutdown } from "../app/shutdown.ts";

/** What the service knows of itself. */
export interface SystemFacts {
  readonly engineId: string;
  /** The configuration in force. */
  config(): EngineConfig;
  /** Reads daemon.json again. Errors: invalid_argument; the old one stays. */
  reload(): void;
  eventListeners(): number;
}

export function systemService(app: App, facts: SystemFacts): Implementation {
  return implement(SystemService, {
    getInfo: () => Promise.resolve(info(app, facts)),
    async shutdown() {
      return { unkillable: await shutdown(app) };
    },
    reload() {
      facts.reload();
      return Promise.resolve({});
    },
  });
}

function info(app: App, facts: SystemFacts) {
  const config = facts.config();
  const counts = countContainers(app);
  const { host } = app;
  return {
    engineId: facts.engineId,
    containers: counts.all,
    containersRunning: counts.running,
    containersPaused: counts.paused,
    containersStopped: counts.stopped,
    cgroupVersion: host.cgroupVersion,
    cgroupDriver: "cgroupfs",
    kernelVersion: host.kernelVersion,
    operatingSystem: host.operatingSystem,
    osVersion: host.osVersion,
    architecture: host.machine,
    ncpu: host.cpus,
    memTotalBytes: BigInt(host.memoryBytes),
    hostname: host.hostname,
    dataRoot: config.dataRoot,
    warnings: hostWarnings(app),
    capabilities: hostCapabilities(app),
    loggingDriver: app.createDefaults.logDriver,
    securityOptions: securityOptions(app),
    networkDrivers: ["bridge", "host", "ipvlan", "macvlan", "null"],
    labels: [...config.labels],
    defaultAddressPools: config.network.defaultAddressPools.map(({ base, size }) => ({
      base,
      size,
    })),
    nfd: readdirSync("/proc/self/fd").length,
    eventsListeners: facts.eventListeners(),
    initBinary: "docker-init",
    firewallBackend: "nftables",
    debug: config.debug,
    httpProxy: withoutCredentials(config.proxies.http),
    httpsProxy: withoutCredentials(config.proxies.https),
    noProxy: config.proxies.none,
  };
}

/** User and password as Docker masks them. */
function withoutCredentials(proxy: string): string {
  return proxy.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, "$1xxxxx:xxxxx@");
}
