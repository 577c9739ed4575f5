/**
 * The seam between a container's lifecycle and its networks.
 *
 * Life of a container seen from here:
 *
 *   declare ─► prepareStart ─► launched ─► release ─► (prepareStart …) ─► forget
 *                   └────────── release ──────┘ when the launch fails
 *
 * `declare` at create (after the ID is chosen, before the record is written), `prepareStart` before
 * the shim is launched, `launched` with the PID, `release` once the process is gone (or never came),
 * `forget` when the container is removed. All of one container's calls are made inside the
 * container's own queue; calls of different containers may overlap. After a restart of the service
 * `open` comes first, then `reconcile` with what adoption found, then everything else.
 *
 * Types here are plain. They are shaped so that messages of gantry.container.v1 and
 * gantry.network.v1 can be passed in as they are, and results be put into responses as they are.
 */
import type { NameTable } from "../domain/network/name-table.ts";
import type { NewEvent } from "./metadata.ts";

/** A list that can be absent (Docker's null) or empty. */
export interface Values {
  readonly values: readonly string[];
}

/** One host side of a port; `hostPort` is a port, a range `8000-8010`, or empty for an ephemeral one. */
export interface PortBinding {
  readonly hostIp: string;
  readonly hostPort: string;
}

/** The host sides of one container port `80/tcp`. */
export interface PortBindings {
  readonly port: string;
  readonly bindings: readonly PortBinding[];
}

/** The members of ContainerConfig that networks need. */
export interface NetworkedConfig {
  readonly hostname: string;
  readonly domainname: string;
  readonly exposedPorts: readonly string[];
  readonly networkDisabled: boolean;
  /** MAC address for the primary endpoint, or empty. */
  readonly macAddress: string;
}

/** The members of HostConfig that networks need. */
export interface NetworkedHostConfig {
  /** `default` or empty (= bridge), `bridge`, `host`, `none`, `container:<id>`, or a network's name or ID. */
  readonly networkMode: string;
  readonly portBindings: readonly PortBindings[];
  readonly publishAllPorts: boolean;
  readonly dns?: Values | undefined;
  readonly dnsOptions?: Values | undefined;
  readonly dnsSearch?: Values | undefined;
  readonly extraHosts?: Values | undefined;
  /** Legacy links `container[:alias]`. */
  readonly links?: Values | undefined;
  /** `host` leaves the host's name. */
  readonly utsMode: string;
  readonly privileged: boolean;
  /** By name with dots. */
  readonly sysctls: Readonly<Record<string, string>>;
}

/** A container as networks see it, taken from its record. */
export interface NetworkedContainer {
  /** 64 hex digits. */
  readonly id: string;
  /** Name without slash. */
  readonly name: string;
  readonly config: NetworkedConfig;
  readonly hostConfig: NetworkedHostConfig;
}

/** Static addresses asked for; empty strings when not. */
export interface EndpointIpam {
  readonly ipv4Address: string;
  readonly ipv6Address: string;
  readonly linkLocalIps: readonly string[];
}

/** What a user may ask of an endpoint. */
export interface EndpointRequest {
  readonly ipamConfig?: EndpointIpam | undefined;
  readonly links: readonly string[];
  readonly aliases: readonly string[];
  readonly driverOpts: Readonly<Record<string, string>>;
  readonly gwPriority: number;
  readonly macAddress: string;
  /** ID of the network as the settings name it, before the name that they are given under. */
  readonly networkId?: string;
  /** They were given, if only none: inspect tells the two apart. */
  readonly hasLinks?: boolean;
  readonly hasAliases?: boolean;
  readonly hasDriverOpts?: boolean;
}

/** An endpoint as inspect shows it; operational members are empty while the container is stopped. */
export interface EndpointView extends EndpointRequest {
  readonly networkId: string;
  readonly endpointId: string;
  readonly gateway: string;
  readonly ipAddress: string;
  readonly ipPrefixLen: number;
  readonly ipv6Gateway: string;
  readonly globalIpv6Address: string;
  readonly globalIpv6PrefixLen: number;
  readonly dnsNames: readonly string[];
}

/** NetworkSettings of inspect and list. */
export interface NetworkSettingsView {
  readonly sandboxId: string;
  readonly sandboxKey: string;
  /** Every exposed or published port; `bindings` empty when not published. Empty when stopped. */
  readonly ports: readonly PortBindings[];
  /** By network name. */
  readonly networks: Readonly<Record<string, EndpointView>>;
}

/** What create gets back. */
export interface DeclaredNetwork {
  /** NetworkMode as it is to be kept in HostConfig: `default` and empty become `bridge`. */
  readonly networkMode: string;
  /** Docker's warnings. */
  readonly warnings: readonly string[];
}

/** A route of an interface, as gantry.shim.v1.RoutePlan. */
export interface RoutePlan {
  readonly destination: string;
  readonly gateway: string;
  readonly metric: number;
}

/** An interface for the launch, as gantry.shim.v1.InterfacePlan. */
export interface InterfacePlan {
  readonly kind: string;
  readonly hostName: string;
  readonly name: string;
  readonly parent: string;
  readonly mac: Uint8Array;
  readonly addresses: string[];
  readonly mtu: number;
  readonly routes: RoutePlan[];
  readonly mode: string;
  readonly sysctls: Record<string, string>;
  readonly isolated: boolean;
}

/**
 * The network namespace of the launch:
 * - `new`: a new one, with the interfaces of the plan (none: only the loopback);
 * - `host`: the host's, no namespace entry in the bundle;
 * - `join`: that of another container, which must be running (the lifecycle knows its PID).
 */
export type NamespaceChoice =
  | { readonly mode: "new" }
  | { readonly mode: "host" }
  | { readonly mode: "join"; readonly containerId: string };

/** What start gets back. */
export interface PreparedNetwork {
  readonly namespace: NamespaceChoice;
  /** For LaunchRequest.interfaces. */
  readonly interfaces: InterfacePlan[];
  /**
   * Host paths to bind at /etc/resolv.conf, /etc/hosts and /etc/hostname (rbind, rprivate), unless
   * the user mounts something there. With `join` they are the other container's files.
   */
  readonly resolvConfPath: string;
  readonly hostsPath: string;
  readonly hostnamePath: string;
  /** Host name for the UTS namespace when the network decides it (`host` mode: the host's), else empty. */
  readonly hostname: string;
  /** For LaunchRequest.names; absent: the container has no name server of its own. */
  readonly names?: NameTable;
  /** Events `network connect`, to be committed before the event `start`. */
  readonly events: readonly NewEvent[];
}

/** A container that runs after a restart of the service. */
export interface LiveContainer {
  readonly container: NetworkedContainer;
  /** PID of its first process on the host. */
  readonly pid: number;
}

/** Where a container's files are. */
export interface ContainerFolders {
  /** `<data>/containers/<id>`: exists from `declare` to `forget`; hosts, hostname and resolv.conf go there. */
  containerDir(id: string): string;
}

/** A container found by name; what connect and disconnect must know of it. */
export interface FoundContainer extends NetworkedContainer {
  /** Host PID while it runs (also paused), else 0. */
  readonly pid: number;
  /** It is being removed or dead: nothing can be connected any more. */
  readonly removing: boolean;
}

/** The container records, as networks use them. Implemented by the lifecycle. */
export interface ContainerDirectory {
  /** By ID, name or unique prefix. Throws Docker's not_found and invalid_argument (ambiguous). */
  find(reference: string): FoundContainer;
  /** By full ID. */
  byId(id: string): FoundContainer | undefined;
  /** Runs while no other operation of that container does. */
  exclusively<T>(id: string, run: () => Promise<T>): Promise<T>;
}

/** Networks, for the lifecycle. */
export interface Networking {
  /**
   * Reads the records and makes sure that the predefined networks, their bridges, the rules and the
   * relay are there. Resolves when containers can be started. Called once at boot.
   */
  open(): Promise<void>;

  /**
   * After adoption: `live` are the containers that run. Endpoints of others are released, published
   * ports and rules of the live ones are put in place again. `known` are all container IDs with a
   * record; what belongs to others is forgotten.
   */
  reconcile(live: readonly LiveContainer[], known: ReadonlySet<string>): Promise<void>;

  /**
   * Checks a new container's network choice and keeps its endpoint settings. Touches nothing in the
   * kernel. A network that does not exist is no error here (Docker says it at start).
   * Errors: invalid_argument with Docker's texts (conflicting options, aliases or addresses on the
   * default bridge, malformed ports, hosts, DNS, addresses).
   */
  declare(
    container: NetworkedContainer,
    endpoints: Readonly<Record<string, EndpointRequest>>,
    apiVersion: string,
  ): DeclaredNetwork;

  /**
   * Takes addresses and ports, publishes ports, writes hosts, hostname and resolv.conf. Without
   * published ports it spawns nothing and waits for no disk.
   * Errors: not_found (`network X not found`), conflict (address in use), internal (port taken:
   * Docker's `driver failed programming external connectivity … Bind for 0.0.0.0:80 failed: port is
   * already allocated`). After an error nothing is held.
   */
  prepareStart(container: NetworkedContainer, signal: AbortSignal): Promise<PreparedNetwork>;

  /** The container runs with this PID; its name server is told what is new since `prepareStart`. Synchronous and quick. */
  launched(containerId: string, pid: number): void;

  /**
   * The container's process is gone, or its launch failed: gives back addresses and ports at once
   * (rules and links follow in the background). Idempotent; a container that holds nothing gives no
   * events. The events `network disconnect` are to be committed before the event `die`.
   */
  release(containerId: string): readonly NewEvent[];

  /** The container is removed: forgets its endpoint settings. Idempotent. */
  forget(containerId: string): void;

  /** The container has a new name: name servers and hosts files follow. */
  rename(containerId: string, name: string): void;

  /**
   * For inspect and list; from memory. Unknown containers give empty settings. The same object as long as
   * nothing that it shows has changed.
   */
  settings(containerId: string): NetworkSettingsView;

  /** The MAC address asked of the endpoint in the network of the container's mode, or empty. From memory. */
  askedMac(containerId: string): string;

  /**
   * Whether the container is on a network that `reference` (name or ID prefix) names: list filter
   * `network`.
   */
  isOnNetwork(containerId: string, reference: string): boolean;

  /** Stops watching and answering; touches nothing in the kernel. For a restart of the service. */
  close(): Promise<void>;

  /**
   * The engine ends: removes every link, table and rule of ours and ends the relay. Containers must
   * be stopped. Networks stay in the records and come back with `open`.
   */
  teardownHost(): Promise<void>;
}
