/** What follows when a running container's endpoints have changed: routes, ports, names and records. */
import { textDigest } from "../../domain/network/container-files.ts";
import type {
  ContainerNetworks,
  EndpointRecord,
  LiveEndpoint,
} from "../../domain/network/records.ts";
import type { NewEvent } from "../../ports/metadata.ts";
import type { FoundContainer } from "../../ports/networking.ts";
import { resolverTexts } from "./container-texts.ts";
import type { NetworkContext } from "./context.ts";
import {
  changedWays,
  chooseGateways,
  defaultWays,
  type GatewayChoice,
  type PlacedEndpoint,
} from "./endpoint-plan.ts";
import { refreshHosts, refreshNeighbours } from "./neighbours.ts";
import { publishContainer, shownPorts } from "./publish-container.ts";
import { unpublishPorts } from "./publish-ports.ts";

/** Endpoints that hold addresses, with their networks. */
export function placedOf(
  context: NetworkContext,
  endpoints: readonly EndpointRecord[],
): PlacedEndpoint[] {
  return endpoints.flatMap((endpoint) => {
    const network = context.registry.networkOf(endpoint);
    return network === undefined || endpoint.live === undefined
      ? []
      : [{ network, endpoint: { ...endpoint, live: endpoint.live } }];
  });
}

/**
 * Default routes, published ports, names and records follow the endpoints.
 * @param before endpoints that the default routes follow by now: where they stay the same, what a program of the
 * container has made of them stays, too. Undefined: nobody knows, and they are set anew
 */
export async function settle(
  context: NetworkContext,
  container: FoundContainer,
  networks: ContainerNetworks,
  placed: readonly PlacedEndpoint[],
  {
    before,
    events,
  }: { before: readonly PlacedEndpoint[] | undefined; events: readonly NewEvent[] },
): Promise<void> {
  const gateways = chooseGateways(placed);
  const { ipv4, ipv6 } =
    before === undefined ? defaultWays(placed, gateways) : changedWays(before, placed);
  if (ipv4 !== undefined || ipv6 !== undefined)
    await context.links.setDefaultRoutes(container.pid, ipv4, ipv6);
  let next = networks;
  if (!leadToGateways(networks, gateways)) {
    unpublishPorts(context, networks.published);
    next = { ...networks, published: [] };
    context.registry.putContainer(next);
    const published = await publishContainer(context, container, placed, gateways);
    next = { ...next, published, exposed: shownPorts(container, placed) };
    for (const { endpoint } of published.length === 0 ? [] : placed) {
      if (endpoint.live.hostName !== "") await context.links.setHairpin(endpoint.live.hostName);
    }
  }
  next = await renewResolver(context, container, next);
  await keep(context, next, events);
  await refreshHosts(context, container.id);
  refreshNeighbours(context, next);
}

/**
 * A container that comes into its first network with names gets a name server, and a resolv.conf that names it
 * unless somebody has changed that file. Both stay when it leaves.
 */
async function renewResolver(
  context: NetworkContext,
  container: FoundContainer,
  networks: ContainerNetworks,
): Promise<ContainerNetworks> {
  context.registry.putContainer(networks);
  const { resolvConf, names } = await resolverTexts(context, container, networks);
  const isNew = names !== undefined && !context.names.has(container.id);
  context.names.renew(container.id, names);
  if (!isNew) return networks;
  const { resolvConfDigest = "" } = networks;
  const isWritten = await context.files.rewriteResolvConf(
    container.id,
    resolvConfDigest,
    resolvConf,
  );
  return isWritten ? { ...networks, resolvConfDigest: textDigest(resolvConf) } : networks;
}

/** Whether published ports lead to the endpoints that now have the default routes. */
function leadToGateways(networks: ContainerNetworks, gateways: GatewayChoice): boolean {
  const address = (
    each: PlacedEndpoint | undefined,
    pick: (live: LiveEndpoint) => string,
  ): string =>
    each?.network.driver === "bridge" ? pick(each.endpoint.live).replace(/\/.*$/, "") : "";
  const ipv4 = address(gateways.ipv4, (live) => live.ipv4);
  const ipv6 = address(gateways.ipv6, (live) => live.ipv6);
  if (networks.published.length === 0) return ipv4 === "" && ipv6 === "";
  return networks.published.every((port) => port.targetIpv4 === ipv4 && port.targetIpv6 === ipv6);
}

/** Keeps the record and tells the events. After an error the record is what it was, unless somebody has changed it since. */
export async function keep(
  context: NetworkContext,
  networks: ContainerNetworks,
  events: readonly NewEvent[],
): Promise<void> {
  const { registry, store } = context;
  const before = registry.container(networks.containerId);
  try {
    await store.commit([registry.putContainer(networks)], events);
  } catch (error) {
    const isOurs = registry.container(networks.containerId) === networks;
    if (before !== undefined && isOurs) registry.putContainer(before);
    throw error;
  }
}
