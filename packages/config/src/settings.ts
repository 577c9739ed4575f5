/** What daemon.json can say, after parsing: plain values with units in their names. */

/** A range that networks take their subnets from. */
export interface AddressPool {
  /** CIDR, for example `172.17.0.0/16`. */
  readonly base: string;
  /** Prefix length of each subnet. */
  readonly size: number;
}

/** A default resource limit of containers. */
export interface Ulimit {
  readonly name: string;
  readonly soft: number;
  readonly hard: number;
}

/** TLS of TCP listeners. */
export interface TlsSettings {
  readonly caCertFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  /** `tlsverify`: clients must show a certificate. */
  readonly verifyClients: boolean;
}

/** Registries. */
export interface RegistrySettings {
  /** Mirrors of Docker Hub, tried in order. */
  readonly mirrors: readonly string[];
  /** Hosts (with optional port) and CIDRs that may be spoken to without TLS. */
  readonly insecure: readonly string[];
  readonly maxConcurrentDownloads: number;
  readonly maxConcurrentUploads: number;
}

/** The default bridge and what all networks share. */
export interface NetworkSettings {
  /** Address and prefix of the default bridge (`bip`). */
  readonly bridgeAddress: string | undefined;
  readonly fixedCidr: string | undefined;
  /** Undefined: the driver's default. */
  readonly mtu: number | undefined;
  /** Containers of the default bridge reach each other. */
  readonly interContainer: boolean;
  readonly ipMasquerade: boolean;
  readonly ipForward: boolean;
  readonly ipv6: boolean;
  /** Host address of published ports that name none. */
  readonly defaultHostAddress: string;
  readonly defaultAddressPools: readonly AddressPool[];
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  /** Addresses behind `host-gateway`. */
  readonly hostGatewayAddresses: readonly string[];
}

/** Defaults of new containers. */
export interface ContainerDefaults {
  readonly logDriver: string;
  readonly logOptions: Readonly<Record<string, string>>;
  readonly ulimits: readonly Ulimit[];
  readonly shmSizeBytes: number;
  readonly init: boolean;
  readonly noNewPrivileges: boolean;
  /** `builtin`, `unconfined`, or the path of a profile. */
  readonly seccompProfile: string;
  readonly cgroupNamespaceMode: "host" | "private" | undefined;
  readonly ipcMode: "private" | "shareable";
  readonly runtime: string;
}

/** Proxies on the way to registries; empty: none. */
export interface ProxySettings {
  readonly http: string;
  readonly https: string;
  /** Hosts to reach without, comma-separated. */
  readonly none: string;
}

/** Bounds of the build cache. Bytes; 0 = not given. */
export interface CacheBounds {
  /** The cache is never trimmed below this. */
  readonly reservedBytes: number;
  readonly maxUsedBytes: number;
  /** What is to stay free on the disk. */
  readonly minFreeBytes: number;
}

/** One rule for trimming the build cache. */
export interface BuildCacheRule extends CacheBounds {
  /** Also what images share, and what is internal. */
  readonly all: boolean;
  /** Each `key=value`, as of `docker builder prune --filter`. */
  readonly filters: readonly string[];
}

/** daemon.json's `builder.gc`. */
export interface BuildCacheSettings {
  /** Whether the cache is trimmed at all. */
  readonly enabled: boolean;
  /** In place of Docker's bounds; all 0: those. */
  readonly bounds: CacheBounds;
  /** In place of Docker's rules, in order; undefined: those. */
  readonly rules: readonly BuildCacheRule[] | undefined;
}

/** All of daemon.json. */
export interface DaemonSettings {
  readonly buildCache: BuildCacheSettings;
  readonly debug: boolean;
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | undefined;
  readonly labels: readonly string[];
  /** Listeners of the API: `unix:///path` and `tcp://address:port`; empty: docker.sock in the run root. */
  readonly hosts: readonly string[];
  /** Group of the sockets. */
  readonly group: string;
  readonly tls: TlsSettings | undefined;
  readonly dataRoot: string | undefined;
  readonly execRoot: string | undefined;
  readonly cgroupParent: string | undefined;
  readonly execOptions: readonly string[];
  readonly proxies: ProxySettings;
  /** How long an orderly stop waits for containers without a stop time-out of their own. */
  readonly shutdownTimeoutMs: number;
  readonly registry: RegistrySettings;
  readonly network: NetworkSettings;
  readonly containers: ContainerDefaults;
}
