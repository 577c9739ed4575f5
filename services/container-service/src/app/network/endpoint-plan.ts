/** Gives a container its place in each of its networks: addresses, names and the plan of the interface. */
import {
  internal,
  invalidArgument,
  notFound,
  permissionDenied,
  toEngineError,
} from "@gantry/errors";
import { formatAddress, isLinkLocal, parseAddress } from "../../domain/network/address.ts";
import { parseBridgeOptions } from "../../domain/network/bridge-options.ts";
import { checkCompany } from "../../domain/network/company.ts";
import { checkEndpointWish, parseLink } from "../../domain/network/declare-rules.ts";
import { chooseInterfaceName, interfaceNameOption } from "../../domain/network/interface-name.ts";
import {
  interfaceSysctls,
  isInterfaceSysctl,
  sandboxError,
  sysctlPath,
} from "../../domain/network/interface-sysctls.ts";
import { formatMac, parseMac } from "../../domain/network/mac-address.ts";
import { parseMode } from "../../domain/network/network-modes.ts";
import { isRoutedByParent } from "../../domain/network/parent-link.ts";
import {
  type ContainerNetworks,
  type EndpointRecord,
  type EndpointWish,
  isBound,
  type LiveEndpoint,
  type NetworkRecord,
} from "../../domain/network/records.ts";
import { checkTrustedInterfaces } from "../../domain/network/trusted-interfaces.ts";
import type { DefaultRoute } from "../../ports/network-host.ts";
import type { InterfacePlan, RoutePlan } from "../../ports/networking.ts";
import type { NetworkContext } from "./context.ts";
import { askableSubnets } from "./declare-networks.ts";

/** An endpoint with addresses, in its network. */
export interface PlacedEndpoint {
  readonly network: NetworkRecord;
  readonly endpoint: EndpointRecord & { readonly live: LiveEndpoint };
}

/**
 * The networks of the endpoints, each once, in the order of their interfaces. Errors: not_found,
 * invalid_argument (networks that don't go together).
 */
export function resolveEndpoints(
  context: NetworkContext,
  container: ContainerNetworks,
): { network: NetworkRecord; endpoint: EndpointRecord }[] {
  const { mode } = container;
  const resolved = container.endpoints.map((endpoint) => {
    const network = resolveEndpoint(context, container, endpoint);
    const { askedNetworkId: _found, ...lasting } = endpoint;
    return { network, endpoint: { ...lasting, networkId: network.id } };
  });
  const isPrimary = (network: NetworkRecord): boolean =>
    network.name === mode || network.id.startsWith(mode);
  const ordered = resolved
    .filter(isFirst)
    .sort(
      (one, other) =>
        Number(isPrimary(other.network)) - Number(isPrimary(one.network)) ||
        (one.network.name < other.network.name ? -1 : 1),
    );
  checkCompany(
    parseMode(mode),
    ordered.map(({ network }) => network),
  );
  return ordered;
}

/** A start binds an endpoint to one network. Until then another one of that name will do. */
function resolveEndpoint(
  { registry }: NetworkContext,
  container: ContainerNetworks,
  endpoint: EndpointRecord,
): NetworkRecord {
  const { askedNetworkId, networkId, networkRef } = endpoint;
  if (askedNetworkId !== undefined) return registry.find(askedNetworkId);
  const network = registry.network(networkId);
  if (network !== undefined) return network;
  if (isBound(container, endpoint)) throw notFound("network", networkId);
  if (networkRef === container.mode && networkId.startsWith(networkRef)) {
    const mode = `could not find a network matching network mode ${networkRef}`;
    throw notFound("network", networkRef, `${mode}: network ${networkRef} not found`);
  }
  return registry.find(networkRef);
}

/** Whether it is the first one in its network: two references can mean the same. */
function isFirst(
  { network }: { network: NetworkRecord },
  index: number,
  all: readonly { network: NetworkRecord }[],
): boolean {
  return all.findIndex((each) => each.network.id === network.id) === index;
}

/** Whose endpoints they are, and the interface names that it has already. */
export interface EndpointHolder {
  readonly name: string;
  readonly usedNames: ReadonlySet<string>;
}

/** Takes addresses for endpoints. Errors: conflict, invalid_argument, internal. After an error nothing is held. */
export function placeEndpoints(
  context: NetworkContext,
  resolved: readonly { network: NetworkRecord; endpoint: EndpointRecord }[],
  holder: EndpointHolder,
): PlacedEndpoint[] {
  const placed: PlacedEndpoint[] = [];
  const names = new Set(holder.usedNames);
  try {
    for (const { network, endpoint } of resolved) {
      if (network.configOnly) {
        throw permissionDenied("cannot create endpoint on configuration-only network");
      }
      checkEndpointWish({ name: network.name, subnets: askableSubnets(network) }, endpoint.wish);
      for (const link of endpoint.wish.links) parseLink(link);
      checkTrust(network, holder);
      const live = takePlace(context, network, endpoint.wish, names);
      names.add(live.interfaceName);
      const { isWaiting: _over, ...lasting } = endpoint;
      placed.push({ network, endpoint: { ...lasting, live } });
    }
    return placed;
  } catch (error) {
    for (const { network, endpoint } of placed) {
      context.registry.giveBackAddresses(network.id, endpoint.live);
    }
    throw error;
  }
}

/** Errors: internal (the network trusts interfaces that cannot be). */
function checkTrust(network: NetworkRecord, { name }: EndpointHolder): void {
  const { trusted, gatewayModes } = parseBridgeOptions(network.options);
  const asksForIt = Object.values(gatewayModes).includes("nat");
  if (network.driver !== "bridge" || network.internal || !asksForIt) return;
  try {
    checkTrustedInterfaces(trusted);
  } catch (error) {
    const { message } = toEngineError(error);
    throw internal(`failed to create endpoint ${name} on network ${network.name}: ${message}`, {
      cause: error,
    });
  }
}

function takePlace(
  context: NetworkContext,
  network: NetworkRecord,
  wish: EndpointWish,
  usedNames: ReadonlySet<string>,
): LiveEndpoint {
  const endpointId = context.ids.id();
  if (!hasInterface(network)) return { ...nowhere, endpointId };
  const hostName =
    network.driver === "bridge" ? hostLinkName(context.options.linkPrefix, endpointId) : "";
  const interfaceName = chooseInterfaceName({
    wanted: wish.driverOpts[interfaceNameOption] ?? "",
    prefix: parseBridgeOptions(network.options).interfacePrefix,
    hostName,
    usedNames,
  });
  const ipv4 = takeAddress(context, network, 4, wish);
  let ipv6 = "";
  try {
    ipv6 = takeAddress(context, network, 6, wish);
  } catch (error) {
    context.registry.giveBackAddresses(network.id, { ipv4, ipv6 });
    throw error;
  }
  return {
    endpointId,
    interfaceName,
    hostName,
    macAddress: formatMac(parseMac(wish.macAddress) ?? context.ids.mac()),
    ipv4,
    ipv6,
    gateway4: hasNextHop(network) ? gatewayOf(network, 4) : "",
    gateway6: hasNextHop(network) ? gatewayOf(network, 6) : "",
  };
}

/** Whether a machine with an address is the way out, not a link nor nobody. */
function hasNextHop(network: NetworkRecord): boolean {
  return !network.internal && !isRoutedByParent(network.driver, network);
}

/** Names of links have at most 15 letters. */
function hostLinkName(prefix: string, endpointId: string): string {
  return `${prefix}_${endpointId}`.slice(0, 15);
}

const nowhere: Omit<LiveEndpoint, "endpointId"> = {
  interfaceName: "",
  hostName: "",
  macAddress: "",
  ipv4: "",
  ipv6: "",
  gateway4: "",
  gateway6: "",
};

/** Whether a container in that network gets an interface for it. */
function hasInterface(network: NetworkRecord): boolean {
  return network.driver !== "host" && network.driver !== "null";
}

function takeAddress(
  context: NetworkContext,
  network: NetworkRecord,
  family: 4 | 6,
  wish: EndpointWish,
): string {
  const enabled = family === 4 ? network.enableIpv4 : network.enableIpv6;
  const wanted = (family === 4 ? wish.ipamConfig?.ipv4Address : wish.ipamConfig?.ipv6Address) ?? "";
  return enabled ? (context.registry.takeAddress(network, family, wanted) ?? "") : "";
}

/** The gateway that containers use; empty when the network has none of that family. */
export function gatewayOf(network: NetworkRecord, family: 4 | 6): string {
  const isFamily = (text: string): boolean => text.includes(":") === (family === 6);
  const enabled = family === 4 ? network.enableIpv4 : network.enableIpv6;
  const config = network.ipam.config.find((each) => isFamily(each.subnet));
  return enabled ? (config?.gateway ?? "") : "";
}

/** Which endpoints give the container its default routes. */
export interface GatewayChoice {
  readonly ipv4: PlacedEndpoint | undefined;
  readonly ipv6: PlacedEndpoint | undefined;
}

/** The better one for default routes and names first: highest priority, most gateways, network's name. */
export function byPreference(
  one: { readonly network: NetworkRecord; readonly endpoint: EndpointRecord },
  other: { readonly network: NetworkRecord; readonly endpoint: EndpointRecord },
): number {
  return (
    other.endpoint.wish.gwPriority - one.endpoint.wish.gwPriority ||
    Number(one.network.internal) - Number(other.network.internal) ||
    gatewayCount(other.endpoint) - gatewayCount(one.endpoint) ||
    (one.network.name < other.network.name ? -1 : 1)
  );
}

function gatewayCount({ live }: EndpointRecord): number {
  return [live?.gateway4, live?.gateway6].filter((gateway) => (gateway ?? "") !== "").length;
}

/** Each family for itself. */
export function chooseGateways(placed: readonly PlacedEndpoint[]): GatewayChoice {
  const byPriority = placed.toSorted(byPreference);
  return {
    ipv4: byPriority.find(({ endpoint }) => endpoint.live.gateway4 !== ""),
    ipv6: byPriority.find(({ endpoint }) => endpoint.live.gateway6 !== ""),
  };
}

/** Plans of the interfaces, with default routes where the gateways are. */
export function planInterfaces(
  { kernelHasIpv6 }: Pick<NetworkContext, "kernelHasIpv6">,
  placed: readonly PlacedEndpoint[],
  gateways: GatewayChoice,
): InterfacePlan[] {
  return placed
    .filter(({ network }) => hasInterface(network))
    .map((each) => planInterface(each, defaultRoutes(each, placed, gateways), kernelHasIpv6));
}

/** The default routes of a container: to the gateways, else to the link whose parent routes. */
export function defaultWays(
  placed: readonly PlacedEndpoint[],
  gateways: GatewayChoice,
): { readonly ipv4: DefaultRoute; readonly ipv6: DefaultRoute } {
  const linkOf = (has: (live: LiveEndpoint) => boolean): string =>
    placed.find(({ network, endpoint }) => isRoutedAbove(network) && has(endpoint.live))?.endpoint
      .live.interfaceName ?? "";
  const gateway4 = gateways.ipv4?.endpoint.live.gateway4 ?? "";
  const gateway6 = gateways.ipv6?.endpoint.live.gateway6 ?? "";
  return {
    ipv4: { gateway: gateway4, link: gateway4 === "" ? linkOf(({ ipv4 }) => ipv4 !== "") : "" },
    ipv6: { gateway: gateway6, link: gateway6 === "" ? linkOf(({ ipv6 }) => ipv6 !== "") : "" },
  };
}

/** The default routes that are others with another set of endpoints; undefined: the same. */
export function changedWays(
  before: readonly PlacedEndpoint[],
  after: readonly PlacedEndpoint[],
): { readonly ipv4: DefaultRoute | undefined; readonly ipv6: DefaultRoute | undefined } {
  const [old, next] = [waysOf(before), waysOf(after)];
  const changed = (family: "ipv4" | "ipv6"): DefaultRoute | undefined => {
    const isSame =
      old[family].owner === next[family].owner && old[family].link === next[family].link;
    return isSame ? undefined : next[family];
  };
  return { ipv4: changed("ipv4"), ipv6: changed("ipv6") };
}

/** The default routes, with the endpoint of the gateway. */
function waysOf(placed: readonly PlacedEndpoint[]) {
  const gateways = chooseGateways(placed);
  const { ipv4, ipv6 } = defaultWays(placed, gateways);
  return {
    ipv4: { ...ipv4, owner: gateways.ipv4?.endpoint.live.endpointId },
    ipv6: { ...ipv6, owner: gateways.ipv6?.endpoint.live.endpointId },
  };
}

function isRoutedAbove(network: NetworkRecord): boolean {
  return !network.internal && isRoutedByParent(network.driver, network);
}

/** Those of the container that this interface has. */
function defaultRoutes(
  { endpoint }: PlacedEndpoint,
  placed: readonly PlacedEndpoint[],
  gateways: GatewayChoice,
): RoutePlan[] {
  const ways = defaultWays(placed, gateways);
  const isHere = ({ gateway, link }: DefaultRoute, from: PlacedEndpoint | undefined): boolean =>
    gateway === "" ? link === endpoint.live.interfaceName : from?.endpoint === endpoint;
  const routes: RoutePlan[] = [];
  if (isHere(ways.ipv4, gateways.ipv4)) {
    routes.push({ destination: "0.0.0.0/0", gateway: ways.ipv4.gateway, metric: 0 });
  }
  if (isHere(ways.ipv6, gateways.ipv6)) {
    routes.push({ destination: "::/0", gateway: ways.ipv6.gateway, metric: 0 });
  }
  return routes;
}

function planInterface(
  { network, endpoint }: PlacedEndpoint,
  routes: RoutePlan[],
  kernelHasIpv6: boolean,
): InterfacePlan {
  const { live, wish } = endpoint;
  const options = parseBridgeOptions(network.options);
  const isBridge = network.driver === "bridge";
  return {
    kind: isBridge ? "veth" : network.driver,
    hostName: live.hostName,
    name: live.interfaceName,
    parent: network.link,
    mac: parseMac(live.macAddress) ?? new Uint8Array(),
    addresses: [live.ipv4, live.ipv6, ...linkLocals(wish)].filter((address) => address !== ""),
    mtu: options.mtu,
    routes,
    mode: isBridge ? "" : (network.options[`${network.driver}_mode`] ?? ""),
    sysctls: { ...ownSysctls(live, kernelHasIpv6), ...wantedSysctls(live, wish) },
    isolated: isBridge && !options.interContainer,
  };
}

/** With the prefix length of link-local networks. Errors: invalid_argument. */
function linkLocals(wish: EndpointWish): string[] {
  return (wish.ipamConfig?.linkLocalIps ?? []).map((text) => {
    const address = parseAddress(text);
    if (address === undefined || !isLinkLocal(address)) {
      throw invalidArgument(`invalid link local IP address: ${text}`);
    }
    return `${formatAddress(address)}/${address.family === 4 ? 16 : 64}`;
  });
}

/** Neighbours that remember the address' last owner are told of the new one. */
function ownSysctls(live: LiveEndpoint, kernelHasIpv6: boolean): Record<string, string> {
  const name = live.interfaceName;
  const sysctls: Record<string, string> = { [`net/ipv4/conf/${name}/arp_notify`]: "1" };
  if (!kernelHasIpv6) return sysctls;
  if (live.ipv6 === "") sysctls[`net/ipv6/conf/${name}/disable_ipv6`] = "1";
  else sysctls[`net/ipv6/conf/${name}/ndisc_notify`] = "1";
  return sysctls;
}

function wantedSysctls(live: LiveEndpoint, wish: EndpointWish): Record<string, string> {
  return Object.fromEntries(
    interfaceSysctls(live, wish).map((each) => [sysctlPath(each, live.interfaceName), each.value]),
  );
}

/**
 * Whether this kernel's interfaces have the sysctls that were asked for, told before anything is made.
 * Errors: internal.
 */
export async function checkSysctls(
  { links }: NetworkContext,
  placed: readonly PlacedEndpoint[],
): Promise<void> {
  for (const { endpoint } of placed) {
    for (const sysctl of interfaceSysctls(endpoint.live, endpoint.wish)) {
      if (isInterfaceSysctl(sysctl) && (await links.hasSysctl(sysctlPath(sysctl, "lo")))) continue;
      const path = sysctlPath(sysctl, endpoint.live.interfaceName);
      throw sandboxError(endpoint.live, `/proc/sys/${path} is not a sysctl file`);
    }
  }
}
