/** What is kept of networks and endpoints. These are the documents in the database: plain JSON. */
import type { MadeParent } from "./parent-link.ts";
import type { ContainerPort } from "./port-spec.ts";
import type { Protocol } from "./ruleset.ts";

/** Collection `network`, key: ID. */
export interface NetworkRecord {
  /** 64 hex digits. */
  readonly id: string;
  readonly name: string;
  /** Nanoseconds since the epoch, decimal. */
  readonly createdNano: string;
  readonly driver: NetworkDriver;
  /** As it was asked for, where that is neither nothing nor `local`: it has no meaning here. */
  readonly scope?: string;
  readonly enableIpv4: boolean;
  readonly enableIpv6: boolean;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly configOnly: boolean;
  /** Name of the network whose configuration was taken, or empty. */
  readonly configFrom: string;
  readonly ipam: IpamRecord;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Name of the bridge (bridge), the parent link (macvlan, ipvlan), or empty. */
  readonly link: string;
  /** The bridge was there before the network, and stays when that goes. */
  readonly isFoundBridge?: boolean;
  /** The parent link, when it was made for this network. */
  readonly madeParent?: MadeParent;
}

/** The driver as clients see it: a configuration has none. */
export function shownDriver({ driver, configOnly }: NetworkRecord): NetworkDriver {
  return configOnly ? "null" : driver;
}

export function shownScope({ scope = "local" }: NetworkRecord): string {
  return scope;
}

/** What was asked for, IPv4 first and whether it is used or not; then what the engine chose. */
export function shownSubnets({ ipam }: NetworkRecord): SubnetRecord[] {
  const rank = ({ subnet, isChosen }: SubnetRecord): number =>
    (isChosen === true ? 2 : 0) + (subnet.includes(":") ? 1 : 0);
  return [...(ipam.unused ?? []), ...ipam.config].sort((one, other) => rank(one) - rank(other));
}

export type NetworkDriver = "bridge" | "host" | "null" | "macvlan" | "ipvlan";

export interface IpamRecord {
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
  /** Options were given, if only none: inspect tells the two apart. */
  readonly hasOptions?: boolean;
  /** Filled in: each has a subnet, and a gateway unless there can be none. */
  readonly config: readonly SubnetRecord[];
  /** Subnets of a family that the network does not have, as they were asked for: only inspect knows them. */
  readonly unused?: readonly SubnetRecord[];
}

/** Texts in canonical form; empty when there is none. */
export interface SubnetRecord {
  readonly subnet: string;
  readonly ipRange: string;
  readonly gateway: string;
  /** The subnet was not asked for: no endpoint may ask for an address of it. */
  readonly isChosen?: boolean;
  /** The subnet was asked for and its gateway not: inspect shows none then. */
  readonly isGatewayChosen?: boolean;
  readonly auxiliaryAddresses: Readonly<Record<string, string>>;
}

/** What a user may ask of an endpoint. */
export interface EndpointWish {
  readonly ipamConfig?:
    | {
        readonly ipv4Address: string;
        readonly ipv6Address: string;
        readonly linkLocalIps: readonly string[];
      }
    | undefined;
  readonly links: readonly string[];
  readonly aliases: readonly string[];
  readonly driverOpts: Readonly<Record<string, string>>;
  readonly gwPriority: number;
  readonly macAddress: string;
  /** They were given, if only none: inspect tells the two apart. */
  readonly hasLinks?: boolean;
  readonly hasAliases?: boolean;
  readonly hasDriverOpts?: boolean;
}

/** A container's place in one network. */
export interface EndpointRecord {
  /** Name or ID as the user gave it, until the first start finds the network. */
  readonly networkRef: string;
  /** What was found by the reference, or empty; binding from a start on (see {@link isBound}). */
  readonly networkId: string;
  /** ID of the network among the settings that were asked for: the start looks for it, not for the name. */
  readonly askedNetworkId?: string;
  readonly wish: EndpointWish;
  /** Connected while the container did not run, and not started since. */
  readonly isWaiting?: boolean;
  /** Present while the container holds addresses. */
  readonly live?: LiveEndpoint;
}

/** What a running container has in one network. */
export interface LiveEndpoint {
  /** 64 hex digits. */
  readonly endpointId: string;
  /** Name in the container, `eth0`. */
  readonly interfaceName: string;
  /** Name of the host's end, or empty. */
  readonly hostName: string;
  /** `02:…`, lower case. */
  readonly macAddress: string;
  /** `172.17.0.2/16`, or empty. */
  readonly ipv4: string;
  readonly ipv6: string;
  readonly gateway4: string;
  readonly gateway6: string;
}

/** A published port that is held. */
export interface PublishedPort {
  readonly container: ContainerPort;
  readonly protocol: Protocol;
  /** Canonical address. */
  readonly hostIp: string;
  /** Absent: none of the host's, the container's own port is reached by a route (gateway mode `routed`). */
  readonly hostPort?: number;
  /** Interfaces of the host that the network trusts reach the container's own port, too. */
  readonly isTrusting?: boolean;
  /** Addresses of the container that it leads to; empty when it has none of that family. */
  readonly targetIpv4: string;
  readonly targetIpv6: string;
}

/** A port as it was kept: earlier versions wrote 0 for none of the host's. */
export function keptPort({ hostPort, ...port }: PublishedPort): PublishedPort {
  return hostPort === undefined || hostPort === 0 ? port : { ...port, hostPort };
}

/** Collection `endpoint`, key: container ID. */
export interface ContainerNetworks {
  readonly containerId: string;
  /** Without slash. */
  readonly name: string;
  /** Host name that the container was given, or empty. */
  readonly hostname: string;
  /** HostConfig.NetworkMode, normalised. */
  readonly mode: string;
  readonly endpoints: readonly EndpointRecord[];
  /** Interface without an end on the host that is just being made or removed: after a crash it is removed. */
  readonly unsettled?: string;
  /** Holds addresses: between prepareStart and release. */
  readonly started: boolean;
  /** PID on the host, 0 before launch. */
  readonly pid: number;
  readonly published: readonly PublishedPort[];
  /** Digest of the resolv.conf that was written for this run. */
  readonly resolvConfDigest?: string;
  /** Lines of the hosts file that were written for this run's networks and links; absent: the file is left alone. */
  readonly hostsLines?: readonly string[];
  /** Ports shown in inspect that are not published. */
  readonly exposed: readonly string[];
}

/** Whether its first start has come to its networks. */
export function wasStarted({ resolvConfDigest }: ContainerNetworks): boolean {
  return resolvConfDigest !== undefined;
}

/** Whether the endpoint has been in that network, and is for no other one that may have its name by now. */
export function isBound(container: ContainerNetworks, endpoint: EndpointRecord): boolean {
  if (endpoint.live !== undefined) return true;
  return wasStarted(container) && endpoint.isWaiting !== true;
}

/** With no interface under way. */
export function settled({ unsettled, ...networks }: ContainerNetworks): ContainerNetworks {
  return networks;
}
