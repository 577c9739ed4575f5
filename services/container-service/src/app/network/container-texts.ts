/** The hosts, hostname and resolv.conf of one container. */
import { internal } from "@gantry/errors";
import {
  askedServers,
  directResolver,
  type HostResolver,
  type HostsEntry,
  hostsLines,
  internalResolver,
  ndotsOf,
  overrideResolver,
  parseResolvConf,
  type ResolverWish,
  renderHosts,
  renderResolvConf,
} from "../../domain/network/container-files.ts";
import { hostGateway, parseExtraHost, parseLink } from "../../domain/network/declare-rules.ts";
import { defaultBridge, parseMode } from "../../domain/network/network-modes.ts";
import type {
  ContainerNetworks,
  EndpointRecord,
  LiveEndpoint,
} from "../../domain/network/records.ts";
import type { NetworkFiles } from "../../ports/network-host.ts";
import type { NetworkedContainer } from "../../ports/networking.ts";
import type { NetworkContext } from "./context.ts";
import { gatewayOf } from "./endpoint-plan.ts";
import type { NameSettings } from "./name-keeper.ts";
import { hasNames } from "./name-tables.ts";
import type { Member } from "./registry.ts";

/** Its host name: the one given, else the first 12 digits of its ID. */
export function hostnameOf(container: NetworkedContainer): string {
  return container.config.hostname === "" ? container.id.slice(0, 12) : container.config.hostname;
}

/** What a container is given that does not share another one's network. */
export interface OwnTexts {
  readonly files: NetworkFiles;
  /** Settings of its name server; undefined when it asks other servers itself. */
  readonly names: NameSettings | undefined;
  /** Lines of the hosts file that follow networks and links; undefined when none do. */
  readonly hostsLines: readonly string[] | undefined;
}

/** Errors: internal (linked container not running). */
export async function ownTexts(
  context: NetworkContext,
  container: NetworkedContainer,
  networks: ContainerNetworks,
): Promise<OwnTexts> {
  const { resolvConf, names } = await resolverTexts(context, container, networks);
  const entries = hostsEntries(context, container, networks);
  const withIpv6 = hasLoopbackIpv6(context, container);
  const files = {
    resolvConf,
    hosts: renderHosts(entries, withIpv6),
    hostname: `${hostnameOf(container)}\n`,
  };
  return { files, names, hostsLines: hostsLines(entries, withIpv6) };
}

/** The resolv.conf of a container, and the settings of the name server that it names. */
export async function resolverTexts(
  context: NetworkContext,
  container: NetworkedContainer,
  networks: ContainerNetworks,
): Promise<{ resolvConf: string; names: NameSettings | undefined }> {
  const host = await context.files.host();
  const wish = resolverWish(context, container);
  const isNamed = networks.endpoints.some((endpoint) => {
    const network = context.registry.networkOf(endpoint);
    return network !== undefined && hasNames(network);
  });
  if (!isNamed) {
    const hasIpv6 = networks.endpoints.some((endpoint) => (endpoint.live?.ipv6 ?? "") !== "");
    const conf = directResolver(hostResolver(host.reachable), wish, hasIpv6);
    return { resolvConf: renderResolvConf(conf), names: undefined };
  }
  const conf = internalResolver(hostResolver(host), wish);
  const names = {
    upstreams: askedServers(conf),
    keepSingleLabels: (ndotsOf(conf.options) ?? 0) > 0,
  };
  return { resolvConf: renderResolvConf(conf), names };
}

function hostResolver(file: {
  readonly resolvConf: string;
  readonly resolvConfPath: string;
}): HostResolver {
  return { path: file.resolvConfPath, settings: parseResolvConf(file.resolvConf) };
}

/** Files of a container on the host's network: the host's hosts file, but for a container with hosts of its own. */
export async function hostModeTexts(
  context: NetworkContext,
  container: NetworkedContainer,
): Promise<OwnTexts> {
  const host = await context.files.host();
  const conf = overrideResolver(hostResolver(host), resolverWish(context, container));
  const own = container.config.hostname !== "";
  const extra = extraHosts(context, container, []);
  const files = {
    resolvConf: renderResolvConf(conf),
    hosts: extra.length === 0 ? host.hosts : renderHosts(extra, context.hostHasIpv6),
    hostname: own ? `${container.config.hostname}\n` : host.hostname,
  };
  return { files, names: undefined, hostsLines: undefined };
}

function resolverWish(context: NetworkContext, container: NetworkedContainer): ResolverWish {
  const { dns, dnsSearch, dnsOptions } = container.hostConfig;
  const first = (
    own: readonly string[] | undefined,
    daemon: readonly string[],
  ): readonly string[] => (own === undefined || own.length === 0 ? daemon : own);
  return {
    nameservers: first(dns?.values, context.options.dns),
    search: first(dnsSearch?.values, context.options.dnsSearch),
    options: first(dnsOptions?.values, context.options.dnsOptions),
  };
}

/** The lines of the hosts file that follow networks and links. Errors: internal (linked container not running). */
export function wantedHostsLines(
  context: NetworkContext,
  container: NetworkedContainer,
  networks: ContainerNetworks,
): string[] {
  return hostsLines(
    hostsEntries(context, container, networks),
    hasLoopbackIpv6(context, container),
  );
}

/** Extra hosts, links of the default bridge, then the container itself. */
function hostsEntries(
  context: NetworkContext,
  container: NetworkedContainer,
  networks: ContainerNetworks,
): HostsEntry[] {
  return [
    ...extraHosts(context, container, networks.endpoints),
    ...linkedEntries(context, container, networks),
    ...networks.endpoints.flatMap((endpoint) => ownEntries(container, endpoint.live)),
  ];
}

/** The kernel or sysctls can leave a container without IPv6. */
function hasLoopbackIpv6(
  { kernelHasIpv6 }: NetworkContext,
  { hostConfig }: NetworkedContainer,
): boolean {
  if (!kernelHasIpv6) return false;
  const of = (link: string): string | undefined =>
    hostConfig.sysctls[`net.ipv6.conf.${link}.disable_ipv6`];
  return (of("lo") ?? of("all") ?? "0") === "0";
}

function ownEntries(container: NetworkedContainer, live: LiveEndpoint | undefined): HostsEntry[] {
  const hostname = hostnameOf(container);
  const { domainname } = container.config;
  const full = domainname === "" ? hostname : `${hostname}.${domainname}`;
  const names = [...new Set([full, full.replace(/\..*$/s, "")])];
  return addressesOf(live).map((address) => ({ address, names }));
}

function addressesOf(live: LiveEndpoint | undefined): string[] {
  return [live?.ipv4 ?? "", live?.ipv6 ?? ""]
    .filter((text) => text !== "")
    .map((text) => text.replace(/\/.*$/, ""));
}

function extraHosts(
  context: NetworkContext,
  container: NetworkedContainer,
  endpoints: readonly EndpointRecord[],
): HostsEntry[] {
  return (container.hostConfig.extraHosts?.values ?? []).flatMap((text) => {
    const { name, address } = parseExtraHost(text);
    const addresses = address === hostGateway ? hostAddresses(context, endpoints) : [address];
    return addresses.map((each) => ({ address: each, names: [name] }));
  });
}

/** How a container reaches the host: as configured, else the gateway of the default bridge. */
function hostAddresses(context: NetworkContext, endpoints: readonly EndpointRecord[]): string[] {
  if (context.options.hostGatewayAddresses.length > 0)
    return [...context.options.hostGatewayAddresses];
  const bridge = context.registry.byName(defaultBridge);
  const gateway = bridge === undefined ? "" : gatewayOf(bridge, 4);
  const gateway6 = bridge === undefined ? "" : gatewayOf(bridge, 6);
  const found = [gateway, gateway6].filter((address) => address !== "");
  return found.length > 0 ? found : endpoints.flatMap((endpoint) => endpoint.live?.gateway4 || []);
}

/** On the default bridge, which has no name server, a container finds those that it links to. */
function linkedEntries(
  context: NetworkContext,
  container: NetworkedContainer,
  networks: ContainerNetworks,
): HostsEntry[] {
  const bridge = context.registry.byName(defaultBridge);
  const isOnBridge = networks.endpoints.some(
    ({ networkId, live }) => networkId === bridge?.id && live !== undefined,
  );
  if (bridge === undefined || !isOnBridge) return [];
  return linkEntries(context, container, context.registry.liveMembers(bridge.id));
}

/** Who shares another container's network is reached at that one's addresses. */
function namespaceOwner(context: NetworkContext, id: string): string {
  const mode = parseMode(context.registry.container(id)?.mode ?? "");
  return mode.kind === "container"
    ? namespaceOwner(context, context.directory.find(mode.reference).id)
    : id;
}

function linkEntries(
  context: NetworkContext,
  container: NetworkedContainer,
  members: readonly Member[],
): HostsEntry[] {
  return (container.hostConfig.links?.values ?? []).map(parseLink).flatMap((link) => {
    const linked = context.directory.find(link.container);
    const linkedId = namespaceOwner(context, linked.id);
    const member = members.find((each) => each.container.containerId === linkedId);
    if (member === undefined) {
      if (context.registry.container(linkedId)?.started === true) {
        throw internal(`container ${linkedId} not attached to default bridge network`);
      }
      throw internal(
        `Cannot link to a non running container: /${linked.name} AS /${container.name}/${link.alias}`,
      );
    }
    const { hostname, name, containerId } = member.container;
    const names = [link.alias, hostname === "" ? containerId.slice(0, 12) : hostname, name];
    return addressesOf(member.endpoint.live).map((address) => ({
      address,
      names: [...new Set(names)],
    }));
  });
}

/** Names of a container in a user-defined network: its name, aliases, short ID and host name. */
export function dnsNamesOf({ container, endpoint }: Member): string[] {
  const names = [
    container.name,
    ...endpoint.wish.aliases,
    container.containerId.slice(0, 12),
    ...(container.hostname === "" ? [] : [container.hostname]),
  ];
  return [...new Set(names)];
}
