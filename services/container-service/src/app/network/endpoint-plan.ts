/** Gives a container its place in each of its networks: addresses, names and the plan of the interface. */
import { internal, invalidArgument, notFound, permissionDenied } from "@gantry/errors";
import { formatAddress, isLinkLocal, parseAddress } from "../../domain/network/address.ts";
import { parseBridgeOptions } from "../../domain/network/bridge-options.ts";
import { checkEndpointWish, endpointSysctls } from "../../domain/network/declare-rules.ts";
import { formatMac, parseMac } from "../../domain/network/mac-address.ts";
import type {
  EndpointRecord,
  EndpointWish,
  LiveEndpoint,
  NetworkRecord,
} from "../../domain/network/records.ts";
import type { InterfacePlan, RoutePlan } from "../../ports/networking.ts";
import type { NetworkContext } from "./context.ts";
import { askableSubnets } from "./declare-networks.ts";

/** An endpoint with addresses, in its network. */
export interface PlacedEndpoint {
  readonly network: NetworkRecord;
  readonly endpoint: EndpointRecord & { readonly live: LiveEndpoint };
}

/** The networks of the endpoints, in the order of their interfaces. Errors: not_found. */
export function resolveEndpoints(
  context: NetworkContext,
  endpoints: readonly EndpointRecord[],
  mode: string,
): { network: NetworkRecord; endpoint: EndpointRecord }[] {
  const resolved = endpoints.map((endpoint) => {
    const network =
      endpoint.networkId === ""
        ? context.registry.find(endpoint.networkRef)
        : context.registry.network(endpoint.networkId);
    if (network === undefined) throw missing(endpoint, mode);
    return { network, endpoint: { ...endpoint, networkId: network.id } };
  });
  const isPrimary = (network: NetworkRecord): boolean =>
    network.name === mode || network.id.startsWith(mode);
  return resolved.sort(
    (one, other) =>
      Number(isPrimary(other.network)) - Number(isPrimary(one.network)) ||
      (one.network.name < other.network.name ? -1 : 1),
  );
}

function missing({ networkRef, networkId }: EndpointRecord, mode: string): Error {
  const wasThere = networkId !== "" && networkRef === mode;
  const what = wasThere ? `could not find a network matching network mode ${mode}: ` : "";
  return notFound("network", networkRef, `${what}network ${networkRef} not found`);
}

/**
 * Takes addresses for endpoints; `usedNames` are interface names that the container has already.
 * Errors: conflict, invalid_argument. After an error nothing is held.
 */
export function placeEndpoints(
  context: NetworkContext,
  resolved: readonly { network: NetworkRecord; endpoint: EndpointRecord }[],
  usedNames: ReadonlySet<string>,
): PlacedEndpoint[] {
  const placed: PlacedEndpoint[] = [];
  const names = new Set(usedNames);
  try {
    for (const { network, endpoint } of resolved) {
      if (network.configOnly) {
        throw permissionDenied("cannot create endpoint on configuration-only network");
      }
      checkEndpointWish({ name: network.name, subnets: askableSubnets(network) }, endpoint.wish);
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

function takePlace(
  context: NetworkContext,
  network: NetworkRecord,
  wish: EndpointWish,
  usedNames: ReadonlySet<string>,
): LiveEndpoint {
  const endpointId = context.ids.id();
  if (!hasInterface(network)) return { ...nowhere, endpointId };
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
    interfaceName: freeName(network, wish, usedNames),
    hostName:
      network.driver === "bridge" ? hostLinkName(context.options.linkPrefix, endpointId) : "",
    macAddress: formatMac(parseMac(wish.macAddress) ?? context.ids.mac()),
    ipv4,
    ipv6,
    gateway4: network.internal ? "" : gatewayOf(network, 4),
    gateway6: network.internal ? "" : gatewayOf(network, 6),
  };
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
export function hasInterface(network: NetworkRecord): boolean {
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

const interfaceNameOption = "com.docker.network.endpoint.ifname";

function freeName(
  network: NetworkRecord,
  wish: EndpointWish,
  usedNames: ReadonlySet<string>,
): string {
  const wanted = wish.driverOpts[interfaceNameOption];
  if (wanted !== undefined && wanted !== "") {
    checkInterfaceName(wanted, usedNames);
    return wanted;
  }
  const prefix = parseBridgeOptions(network.options).interfacePrefix;
  for (let index = 0; ; index++) {
    const name = `${prefix}${index}`;
    if (!usedNames.has(name)) return name;
  }
}

/** The kernel's reasons against a name, told before anything is made. Errors: internal. */
function checkInterfaceName(name: string, usedNames: ReadonlySet<string>): void {
  const refuse = (why: string): Error =>
    internal(`error renaming interface to ${JSON.stringify(name)}: ${why}`);
  if (Buffer.byteLength(name) > 15) throw refuse("numerical result out of range");
  if (/[\s/:\0]/.test(name) || name === "." || name === "..") throw refuse("invalid argument");
  if (name === "lo" || usedNames.has(name)) throw refuse("file exists");
}

/** Which endpoints give the container its default routes. */
export interface GatewayChoice {
  readonly ipv4: PlacedEndpoint | undefined;
  readonly ipv6: PlacedEndpoint | undefined;
}

/** By highest priority, ties by network name; each family for itself. */
export function chooseGateways(placed: readonly PlacedEndpoint[]): GatewayChoice {
  const byPriority = placed.toSorted(
    (one, other) =>
      other.endpoint.wish.gwPriority - one.endpoint.wish.gwPriority ||
      (one.network.name < other.network.name ? -1 : 1),
  );
  return {
    ipv4: byPriority.find(({ endpoint }) => endpoint.live.gateway4 !== ""),
    ipv6: byPriority.find(({ endpoint }) => endpoint.live.gateway6 !== ""),
  };
}

/** Plans of the interfaces, with default routes where the gateways are. */
export function planInterfaces(
  placed: readonly PlacedEndpoint[],
  gateways: GatewayChoice,
): InterfacePlan[] {
  return placed
    .filter(({ network }) => hasInterface(network))
    .map((each) => planInterface(each, defaultRoutes(each, gateways)));
}

function defaultRoutes(each: PlacedEndpoint, gateways: GatewayChoice): RoutePlan[] {
  const { gateway4, gateway6 } = each.endpoint.live;
  const routes: RoutePlan[] = [];
  if (gateways.ipv4 === each) {
    routes.push({ destination: "0.0.0.0/0", gateway: gateway4, metric: 0 });
  }
  if (gateways.ipv6 === each) routes.push({ destination: "::/0", gateway: gateway6, metric: 0 });
  return routes;
}

function planInterface({ network, endpoint }: PlacedEndpoint, routes: RoutePlan[]): InterfacePlan {
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
    sysctls: { ...interfaceSysctls(live), ...wantedSysctls(live, wish) },
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
function interfaceSysctls(live: LiveEndpoint): Record<string, string> {
  const name = live.interfaceName;
  const sysctls: Record<string, string> = { [`net/ipv4/conf/${name}/arp_notify`]: "1" };
  if (live.ipv6 === "") sysctls[`net/ipv6/conf/${name}/disable_ipv6`] = "1";
  else sysctls[`net/ipv6/conf/${name}/ndisc_notify`] = "1";
  return sysctls;
}

/** `net.ipv4.conf.IFNAME.log_martians=1,…`: only sysctls of this interface. Errors: invalid_argument. */
function wantedSysctls(live: LiveEndpoint, wish: EndpointWish): Record<string, string> {
  const sysctls: Record<string, string> = {};
  for (const text of (wish.driverOpts[endpointSysctls] ?? "").split(",")) {
    if (text === "") continue;
    const [, path, value] =
      /^(net\.(?:ipv4|ipv6|mpls)\.(?:conf|neigh)\.(?:IFNAME|ifname)\.[a-z0-9_]+)=(.*)$/.exec(
        text,
      ) ?? [];
    if (path === undefined || value === undefined) {
      throw invalidArgument(`invalid endpoint sysctl setting: ${JSON.stringify(text)}`);
    }
    sysctls[path.replaceAll(".", "/").replace(/IFNAME|ifname/, live.interfaceName)] = value;
  }
  return sysctls;
}
