/** The answer of GET /info, out of what both services say. */
import type { GetImageInfoResponse } from "@gantry/proto/image";
import type { GetInfoResponse } from "@gantry/proto/system";
import { engineVersion, gantryVersion } from "../../identity.ts";
import { snapshotter } from "./container-inspect.ts";
import { type JsonOut, nullIfEmpty } from "./json.ts";
import { opened } from "./version-gates.ts";

/** What the gateway adds. */
export interface InfoView {
  readonly version: number;
  readonly nowNano: string;
  /** Why the image half is missing; undefined when it isn't. */
  readonly imageProblem: string | undefined;
}

/** Encodes the machine and the engine. */
export function encodeInfo(
  host: GetInfoResponse,
  images: GetImageInfoResponse | undefined,
  view: InfoView,
): JsonOut {
  const { version } = view;
  return {
    ID: host.engineId,
    Containers: host.containers,
    ContainersRunning: host.containersRunning,
    ContainersPaused: host.containersPaused,
    ContainersStopped: host.containersStopped,
    Images: images?.images ?? 0,
    Driver: images?.driver ?? snapshotter,
    DriverStatus: (images?.driverStatus ?? []).map(({ key, value }) => [key, value]),
    Plugins: {
      Volume: ["local"],
      Network: [...host.networkDrivers].sort(),
      Authorization: null,
      Log: ["json-file", "local", "none"],
    },
    ...limits(host),
    ...(!opened("noBridgeNf", version) && { BridgeNfIptables: false, BridgeNfIp6tables: false }),
    Debug: host.debug,
    NFd: host.nfd,
    OomKillDisable: host.capabilities["OomKillDisable"] ?? false,
    NGoroutines: 0,
    SystemTime: view.nowNano,
    LoggingDriver: host.loggingDriver,
    CgroupDriver: host.cgroupDriver,
    CgroupVersion: host.cgroupVersion,
    NEventsListener: host.eventsListeners,
    ...machine(host),
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: encodeRegistries(images),
    GenericResources: null,
    DockerRootDir: host.dataRoot,
    HttpProxy: host.httpProxy,
    HttpsProxy: host.httpsProxy,
    NoProxy: host.noProxy,
    Name: host.hostname,
    Labels: host.labels,
    ExperimentalBuild: false,
    ServerVersion: engineVersion,
    Runtimes: runtimes,
    DefaultRuntime: "runc",
    Swarm: swarm,
    LiveRestoreEnabled: true,
    Isolation: "",
    InitBinary: host.initBinary,
    // There is no containerd here; Docker, too, says so of programs whose version it cannot tell.
    ContainerdCommit: commit("N/A", version),
    RuncCommit: commit(gantryVersion, version),
    InitCommit: commit(gantryVersion, version),
    SecurityOptions: host.securityOptions,
    DefaultAddressPools: host.defaultAddressPools.map(({ base, size }) => ({
      Base: base,
      Size: size,
    })),
    FirewallBackend: opened("firewallBackend", version)
      ? { Driver: host.firewallBackend }
      : undefined,
    CDISpecDirs: [],
    DiscoveredDevices: opened("discoveredDevices", version) ? [] : undefined,
    Warnings: nullIfEmpty(warnings(host, view)),
  };
}

function limits({ capabilities }: GetInfoResponse): Record<string, JsonOut> {
  const names = [
    "MemoryLimit",
    "SwapLimit",
    "CpuCfsPeriod",
    "CpuCfsQuota",
    "CPUShares",
    "CPUSet",
    "PidsLimit",
    "IPv4Forwarding",
  ];
  return Object.fromEntries(names.map((name) => [name, capabilities[name] ?? false]));
}

function machine(host: GetInfoResponse): Record<string, JsonOut> {
  return {
    KernelVersion: host.kernelVersion,
    OperatingSystem: host.operatingSystem,
    OSVersion: host.osVersion,
    OSType: "linux",
    Architecture: host.architecture,
    NCPU: host.ncpu,
    MemTotal: host.memTotalBytes,
  };
}

/** One runtime, by the two names that Docker has for its default one. */
const runtimes: JsonOut = {
  "io.containerd.runc.v2": { path: "runc" },
  runc: { path: "runc" },
};

const swarm: JsonOut = {
  NodeID: "",
  NodeAddr: "",
  LocalNodeState: "inactive",
  ControlAvailable: false,
  Error: "",
  RemoteManagers: null,
};

function encodeRegistries(images: GetImageInfoResponse | undefined): JsonOut {
  const mirrors = images?.mirrors ?? [];
  const hub = { Name: "docker.io", Mirrors: mirrors, Secure: true, Official: true };
  const insecure = (images?.insecureRegistries ?? []).map((name): [string, JsonOut] => [
    name,
    { Name: name, Mirrors: [], Secure: false, Official: false },
  ]);
  return {
    InsecureRegistryCIDRs: images?.insecureRegistryCidrs ?? [],
    IndexConfigs: Object.fromEntries([["docker.io", hub], ...insecure]),
    Mirrors: mirrors,
  };
}

function warnings(host: GetInfoResponse, { imageProblem }: InfoView): string[] {
  return imageProblem === undefined
    ? host.warnings
    : [...host.warnings, `WARNING: ${imageProblem}`];
}

/** Once there was a build's own word beside it on what it should be. */
function commit(ID: string, version: number) {
  return opened("noExpectedCommits", version) ? { ID } : { ID, Expected: ID };
}
