/** What networks need from the machine. Implemented over the kernel addon, nft and the relay program. */

import { EngineError } from "@gantry/errors";
import type { NamesChange, NameTable } from "../domain/network/name-table.ts";
import type { MadeParent } from "../domain/network/parent-link.ts";
import type { PortElements } from "../domain/network/port-elements.ts";
import type { LiveEndpoint } from "../domain/network/records.ts";
import type { RedirectedPort } from "../domain/network/ruleset.ts";
import type { InterfacePlan } from "./networking.ts";

/** The process whose network was to be changed is ending: a conflict, unless it is taken for ended. */
export class NamespaceGoneError extends EngineError {
  override readonly name = "NamespaceGoneError";

  constructor(options: { readonly cause?: unknown } = {}) {
    super("conflict", "container is not running", options);
  }
}

/** A bridge as it must be. */
export interface BridgeSpec {
  readonly name: string;
  /** The host's addresses on it, with prefix length. */
  readonly addresses: readonly string[];
  /** Bytes, 0 = the kernel's choice. */
  readonly mtu: number;
  /** False: IPv6 is off on the bridge. */
  readonly ipv6: boolean;
  /** It is somebody else's: what the network does not need is left as it is. */
  readonly isFound: boolean;
}

/** What tells a link that was made for a network from other people's, whatever its name is. */
export interface LinkMark {
  /** Of our kind of names: the link has it until it is marked. */
  readonly interimName: string;
  /** The link has it from then on. */
  readonly alias: string;
}

/** Links, addresses and sysctls of the host. */
export interface HostLinks {
  /**
   * Subnets in use on this host by links and routes, as CIDRs, without those of the links named
   * (ours). The default route is not one.
   */
  usedSubnets(except: ReadonlySet<string>): Promise<string[]>;
  /** Names of all links, or of those of a kind. */
  linkNames(kind?: "bridge" | "dummy" | "vlan"): Promise<string[]>;
  /** Names of the links whose alias begins so. */
  markedLinks(aliasPrefix: string): Promise<string[]>;
  /**
   * Makes a parent of macvlan and ipvlan interfaces, marked and up. Errors: internal with the kernel's words
   * (`operation not supported`).
   */
  makeParent(parent: MadeParent, mark: LinkMark): Promise<void>;
  /** Makes the bridge, marked, or brings one of that name into this form, and sets it up. */
  ensureBridge(spec: BridgeSpec, mark: LinkMark): Promise<void>;
  /** Removes a link; no error when there is none. */
  removeLink(name: string): Promise<void>;
  /** Switches forwarding on, and leaves it on: others may rely on it by now. */
  enableForwarding(families: { readonly ipv4: boolean; readonly ipv6: boolean }): Promise<void>;
  /** `net.ipv4.ip_local_port_range` and `ip_local_reserved_ports`; undefined when unreadable. */
  ephemeralPorts(): Promise<EphemeralPorts | undefined>;
  /** Whether the kernel has SCTP, or has it as a module. */
  hasSctp(): Promise<boolean>;
  /** Whether the kernel has a sysctl, by its path below /proc/sys. */
  hasSysctl(path: string): Promise<boolean>;
  /** Whether the host has IPv6 at all. */
  hasIpv6(): Promise<boolean>;
  /**
   * Lets the next packet of every UDP flow to these host ports be translated by the rules of now: a flow
   * that never pauses would else keep the translation, or the lack of one, that it began with.
   */
  forgetUdpFlows(hostPorts: readonly number[]): Promise<void>;
  /**
   * Lets a bridge port send frames back where they came from: where bridged packets pass the packet
   * filter, a container reaches its own published port only so. No error when there is no such port.
   */
  setHairpin(hostName: string): Promise<void>;
  /**
   * Makes an interface in the network namespace of a running process. All or nothing. Errors: NamespaceGoneError,
   * internal (a sysctl's value), the kernel's.
   */
  attach(pid: number, plan: InterfacePlan): Promise<void>;
  /**
   * Removes an interface that `attach` or the launch made from the network namespace of a running process; no error when
   * either is not there.
   */
  detach(pid: number, made: MadeInterface): Promise<void>;
  /**
   * Replaces the default routes of a running process's network namespace; those of a family that is undefined stay. No
   * error when the namespace has gone.
   */
  setDefaultRoutes(
    pid: number,
    ipv4: DefaultRoute | undefined,
    ipv6: DefaultRoute | undefined,
  ): Promise<void>;
}

/** Which interface: `hostName` is empty for one without an end on the host. */
export type MadeInterface = Pick<LiveEndpoint, "interfaceName" | "hostName">;

/** Where a container sends what is for nobody near: to a gateway, else to a link, else (both empty) nowhere. */
export interface DefaultRoute {
  readonly gateway: string;
  /** Name in the container. */
  readonly link: string;
}

/** Ports from which the kernel takes ephemeral ones. */
export interface EphemeralPorts {
  readonly first: number;
  readonly last: number;
  readonly reserved: ReadonlySet<number>;
}

/** Something held until it is closed. */
export interface Held {
  close(): void;
}

/** The packet filter. */
export interface PacketFilter {
  /** Applies commands in one transaction. Errors: internal with nft's words. */
  apply(commands: string): Promise<void>;
  /** Changes elements of a table's maps in one transaction. Errors: internal (nothing has changed). */
  changeElements(table: string, changes: readonly PortElements[]): void;
  /** The table as nft's JSON describes it, or undefined when it does not exist. */
  readTable(table: string): Promise<TableListing | undefined>;
  /** Calls back when somebody else has changed rules, at most a few times a second. */
  watch(onForeignChange: () => void): Held;
}

/** How much a table holds. */
export interface TableListing {
  /** Rules by chain. */
  readonly rules: ReadonlyMap<string, number>;
  /** Elements by set or map. */
  readonly elements: ReadonlyMap<string, number>;
}

/** Other engines' rules that would drop what is forwarded for us. */
export interface ForeignFirewall {
  /** Makes sure that the links may forward, where another base chain would drop. */
  admit(links: readonly string[]): Promise<void>;
  /** The same after bridges have come or gone: no look is taken where the last one found nothing in their way. */
  bridgesChanged(links: readonly string[]): Promise<void>;
  /** Removes every accept of ours. */
  withdraw(): Promise<void>;
}

/** A host port that the relay holds. Addresses in canonical form. */
export interface RelayPort {
  readonly protocol: RedirectedPort["protocol"];
  readonly hostIp: string;
  readonly hostPort: number;
  /** Where connections go that reach the socket. */
  readonly targetIp: string;
  readonly targetPort: number;
}

/** The relay: one process that holds a bound socket for each published port. A killed one is replaced at once. */
export interface PortRelay {
  /**
   * Binds all of them or none, starting the relay when there is none. Resolves false when a port is in
   * use by a program of the host. Errors: internal (the relay cannot do it, for example an address that
   * the host does not have).
   */
  listen(ports: readonly RelayPort[]): Promise<boolean>;
  /** Lets go of ports; unknown ones are no error. */
  close(ports: readonly RelayPort[]): Promise<void>;
  /**
   * After a restart of ours: finds the relay of before and makes it hold exactly these, or starts one.
   * Ports that cannot be had are returned.
   */
  restore(ports: readonly RelayPort[]): Promise<RelayPort[]>;
  /** Ends the relay. */
  stop(): Promise<void>;
  /** Lets go of the relay without ending it: this service ends, or gives way to another one. */
  disconnect(): void;
}

/** What a name server is told. */
export interface NamesUpdate {
  /** Replaces everything that it knows. */
  readonly table?: NameTable | undefined;
  /** Made in order, after that. */
  readonly changes: readonly NamesChange[];
}

/** The name servers of running containers; each lives with its container's shim process. */
export interface NameServers {
  /**
   * Errors: conflict (the container does not run), not_found (a change to a network that the server does
   * not know), unavailable and deadline_exceeded (the process does not answer), invalid_argument (it is of a
   * release without name server).
   */
  update(containerId: string, update: NamesUpdate): Promise<void>;
}

/** Texts of a container's network files. */
export interface NetworkFiles {
  readonly resolvConf: string;
  readonly hosts: string;
  readonly hostname: string;
}

/** Where those files are written, and what the host's say. */
export interface NetworkFileStore {
  /** Paths of a container's files. */
  paths(containerId: string): { resolvConf: string; hosts: string; hostname: string };
  /** Writes all, in place (they are bind mounted). Waits for no disk. */
  write(containerId: string, files: NetworkFiles): Promise<void>;
  /**
   * Replaces lines of the hosts file in place. Nothing happens when the container has none, or one that somebody in
   * the container has made larger than a hosts file is.
   */
  editHosts(
    containerId: string,
    before: readonly string[],
    after: readonly string[],
  ): Promise<void>;
  /**
   * Replaces the resolv.conf in place, unless somebody in the container has changed it: its text has to have
   * this digest still. Resolves whether it was replaced.
   */
  rewriteResolvConf(containerId: string, digest: string, text: string): Promise<boolean>;
  /** The host's own files and name. */
  host(): Promise<HostFiles>;
}

/** The host's files. */
export interface HostFiles extends NetworkFiles {
  /** Where `resolvConf` was read. */
  readonly resolvConfPath: string;
  /**
   * Servers that others than the host can reach stand in another file than /etc/resolv.conf, where that
   * names only a stub of the host's.
   */
  readonly reachable: { readonly resolvConf: string; readonly resolvConfPath: string };
}
