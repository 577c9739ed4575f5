/**
 * Every difference between API versions, in one table. A gate opens at its version: from there on the
 * new behaviour holds, below it the old one. Where code asks about a version, it asks here.
 */

interface Gate {
  /** Minor part of the first version with the new behaviour. */
  readonly since: number;
  /** What changes, seen from the new side. */
  readonly what: string;
}

export const gates = {
  autoRemove: {
    since: 25,
    what: "create takes AutoRemove; before, it was the client that removed",
  },
  kernelMemoryTcp: { since: 40, what: "create and update take KernelMemoryTCP" },
  noKernelMemoryTcp: { since: 52, what: "KernelMemoryTCP is ignored again" },
  attachWsStreams: { since: 42, what: "attach/ws honours stdin, stdout and stderr of the query" },
  bindNonRecursive: { since: 40, what: "binds take NonRecursive" },
  clusterVolumes: { since: 42, what: "volume create takes a ClusterVolumeSpec" },
  updatePidsLimit: { since: 40, what: "update takes PidsLimit" },
  privateIpc: { since: 40, what: "IPC namespaces are private by default, not shareable" },
  createMountpoint: { since: 42, what: "binds take CreateMountpoint" },
  consoleSize: { since: 42, what: "create and exec create take ConsoleSize" },
  noFilterParameter: {
    since: 41,
    what: "image list has filters only, not filter, a name's pattern",
  },
  createPlatform: { since: 41, what: "create takes a platform" },
  dfTypes: { since: 42, what: "system df takes types" },
  multiplexedType: {
    since: 42,
    what: "framed streams are announced by a content type of their own",
  },
  pruneVolumesAll: {
    since: 42,
    what: "volume prune removes named volumes only with the filter all",
  },
  sharedSize: { since: 42, what: "image list computes shared sizes only when asked" },
  stopSignal: { since: 42, what: "stop and restart take a signal" },
  annotations: { since: 43, what: "HostConfig has annotations" },
  untaggedEmpty: { since: 43, what: "images without name have empty lists, not <none>" },
  endpointMac: { since: 44, what: "endpoints take a MAC address, Config.MacAddress is warned of" },
  dnsNames: { since: 44, what: "endpoints show DNSNames" },
  manyEndpoints: { since: 44, what: "create takes several endpoints" },
  noCreatedWhenAbsent: {
    since: 44,
    what: "image inspect leaves out Created when the image has none",
  },
  noVirtualSize: { since: 44, what: "images have no VirtualSize" },
  recursiveReadOnly: { since: 44, what: "read-only binds are recursive" },
  startInterval: { since: 44, what: "health checks have StartInterval" },
  noContainerConfig: { since: 45, what: "image inspect has no Container and ContainerConfig" },
  noShortIdAlias: { since: 45, what: "Aliases don't hold the short ID" },
  volumeSubpath: { since: 45, what: "volume mounts take a Subpath" },
  imageCreateEvent: { since: 46, what: "image events of action create are shown" },
  listAnnotations: { since: 46, what: "container list shows annotations" },
  pushPlatform: { since: 46, what: "push takes a platform" },
  listManifests: { since: 47, what: "image list shows manifests on request" },
  descriptors: { since: 48, what: "images show Descriptor, and inspect manifests on request" },
  enableIpv4: { since: 48, what: "networks can be made without IPv4" },
  gwPriority: { since: 48, what: "endpoints take GwPriority" },
  imageMounts: { since: 48, what: "mounts of type image" },
  imagePlatform: { since: 48, what: "history, load and save take a platform" },
  interfaceSysctls: { since: 48, what: "sysctls of an interface are the endpoint's alone" },
  manifestDescriptor: { since: 48, what: "containers show ImageManifestDescriptor" },
  firewallBackend: { since: 49, what: "info shows FirewallBackend" },
  noExpectedCommits: { since: 49, what: "info has no commits that were expected" },
  inspectPlatform: { since: 49, what: "image inspect takes a platform" },
  deletePlatforms: { since: 50, what: "image removal takes platforms" },
  discoveredDevices: { since: 50, what: "info shows DiscoveredDevices" },
  imageConfigOnly: { since: 50, what: "image inspect's Config has only fields of an image" },
  noBridgeNf: { since: 50, what: "info has no BridgeNf fields" },
  containerCount: { since: 51, what: "image list counts containers" },
  eventsJsonl: { since: 52, what: "events are application/jsonl" },
  listHealth: { since: 52, what: "container list shows Health" },
  manyPlatforms: { since: 52, what: "load and save take several platforms" },
  networkStatus: { since: 52, what: "network inspect shows the use of its subnets" },
  noConfigMac: { since: 52, what: "Config.MacAddress is ignored at create" },
  noLegacyEventFields: { since: 52, what: "events lack status, id and from" },
  noLegacyNetworkSettings: {
    since: 52,
    what: "NetworkSettings don't repeat the default bridge at the top",
  },
  omitEmptyImageFields: { since: 52, what: "image inspect leaves out empty fields" },
  statsOsType: { since: 52, what: "stats have os_type" },
  storage: { since: 52, what: "inspect shows Storage, not GraphDriver" },
  usageObjects: { since: 52, what: "system df has usage objects" },
} as const satisfies Record<string, Gate>;

/** A name in the table. */
export type GateName = keyof typeof gates;

/** Whether the new behaviour holds for a version (minor part). */
export function opened(gate: GateName, version: number): boolean {
  return version >= gates[gate].since;
}
