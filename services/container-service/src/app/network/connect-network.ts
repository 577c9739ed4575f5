/** Connects a container to a network, and disconnects it; running ones at once, others at their start. */
import { conflict, internal, invalidArgument, notFound, permissionDenied } from "@gantry/errors";
import { textDigest } from "../../domain/network/container-files.ts";
import { checkEndpointWish } from "../../domain/network/declare-rules.ts";
import { parseMode } from "../../domain/network/network-modes.ts";
import type {
  ContainerNetworks,
  EndpointRecord,
  EndpointWish,
  LiveEndpoint,
  NetworkRecord,
} from "../../domain/network/records.ts";
import type { NewEvent } from "../../ports/metadata.ts";
import type { FoundContainer } from "../../ports/networking.ts";
import { resolverTexts } from "./container-texts.ts";
import type { NetworkContext } from "./context.ts";
import { askableSubnets } from "./declare-networks.ts";
import {
  chooseGateways,
  type GatewayChoice,
  type PlacedEndpoint,
  placeEndpoints,
  planInterfaces,
} from "./endpoint-plan.ts";
import { refreshHosts, refreshNeighbours } from "./neighbours.ts";
import { connectEvent } from "./prepare-start.ts";
import { publishContainer, shownPorts } from "./publish-container.ts";
import { unpublishPorts } from "./publish-ports.ts";

const toHost =
  "cannot connect container to host network - container must be created in host network mode";
const fromHost =
  "cannot disconnect container from host network - container was created in host network mode";
const shared =
  "container sharing network namespace with another container or host cannot be connected to any other network";
const withNone =
  "container cannot be connected to multiple networks with one of the networks in private (none) mode";

/**
 * Errors: not_found, invalid_argument, permission_denied (already connected, address in use), conflict
 * (being removed). After an error nothing has changed.
 */
export async function connectNetwork(
  context: NetworkContext,
  networkRef: string,
  containerRef: string,
  wish: EndpointWish,
): Promise<void> {
  checkReference(containerRef);
  const { id } = context.directory.find(containerRef);
  await context.directory.exclusively(id, async () => {
    const container = context.directory.find(id);
    const network = context.registry.find(networkRef);
    const networks = networksOf(context, container);
    checkConnectable(context, networks, network, container);
    checkEndpointWish({ name: network.name, subnets: askableSubnets(network) }, wish);
    checkNotIn(networks, network, container);
    const endpoint: EndpointRecord = { networkRef: network.name, networkId: network.id, wish };
    if (container.pid === 0 || !networks.started) {
      const waiting = { ...endpoint, isWaiting: true };
      await keep(context, { ...networks, endpoints: [...networks.endpoints, waiting] }, []);
      return;
    }
    await connectRunning(context, container, networks, network, endpoint);
  });
}

function checkReference(containerRef: string): void {
  if (containerRef === "") throw invalidArgument('invalid name or ID supplied: ""');
}

function networksOf(context: NetworkContext, container: FoundContainer): ContainerNetworks {
  const networks = context.registry.container(container.id);
  if (networks === undefined)
    throw internal(`networks of container ${container.id} are not declared`);
  return networks;
}

function checkConnectable(
  context: NetworkContext,
  networks: ContainerNetworks,
  network: NetworkRecord,
  container: FoundContainer,
): void {
  if (container.removing) {
    throw conflict(
      "container is marked for removal and cannot be connected or disconnected to network",
    );
  }
  const mode = parseMode(networks.mode);
  if (mode.kind === "container") throw invalidArgument(shared);
  const isOwn = networks.endpoints.some((endpoint) => isIn(endpoint, network));
  if (isOwn) return;
  if (mode.kind === "host") throw invalidArgument(shared);
  if (network.driver === "host") throw invalidArgument(toHost);
  // Of `none` it can be disconnected.
  const isOnNone = networks.endpoints.some(
    (endpoint) => context.registry.networkOf(endpoint)?.driver === "null",
  );
  if (isOnNone || network.driver === "null") throw invalidArgument(withNone);
  if (network.configOnly) {
    throw permissionDenied("cannot create endpoint on configuration-only network");
  }
}

function checkNotIn(
  networks: ContainerNetworks,
  network: NetworkRecord,
  container: FoundContainer,
): void {
  if (networks.endpoints.some((endpoint) => isIn(endpoint, network))) {
    throw permissionDenied(
      `endpoint with name ${container.name} already exists in network ${network.name}`,
    );
  }
}

function isIn(endpoint: EndpointRecord, network: NetworkRecord): boolean {
  return (
    endpoint.networkId === network.id ||
    (endpoint.networkId === "" && endpoint.networkRef === network.name)
  );
}

async function connectRunning(
  context: NetworkContext,
  container: FoundContainer,
  networks: ContainerNetworks,
  network: NetworkRecord,
  endpoint: EndpointRecord,
): Promise<void> {
  const names = new Set(networks.endpoints.flatMap(({ live }) => live?.interfaceName ?? []));
  const [added] = placeEndpoints(context, [{ network, endpoint }], names);
  if (added === undefined) throw internal("endpoint was not placed");
  const others = networks.endpoints;
  const placed = [...placedOf(context, others), added];
  const gateways = chooseGateways(placed);
  try {
    const [plan] = planInterfaces([added], noGateways);
    if (plan !== undefined) await context.links.attach(container.pid, plan);
    const next = {
      ...networks,
      endpoints: [...others, added.endpoint],
    };
    await settle(context, container, next, placed, gateways, [connectEvent(container.id, added)]);
  } catch (error) {
    context.registry.giveBackAddresses(network.id, added.endpoint.live);
    await context.links.detach(container.pid, added.endpoint.live.interfaceName);
    throw error;
  }
}

const noGateways: GatewayChoice = { ipv4: undefined, ipv6: undefined };

function placedOf(context: NetworkContext, endpoints: readonly EndpointRecord[]): PlacedEndpoint[] {
  return endpoints.flatMap((endpoint) => {
    const network = context.registry.networkOf(endpoint);
    return network === undefined || endpoint.live === undefined
      ? []
      : [{ network, endpoint: { ...endpoint, live: endpoint.live } }];
  });
}

/** Default routes, published ports, names and records follow the endpoints. */
async function settle(
  context: NetworkContext,
  container: FoundContainer,
  networks: ContainerNetworks,
  placed: readonly PlacedEndpoint[],
  gateways: GatewayChoice,
  events: readonly NewEvent[],
): Promise<void> {
  await context.links.setDefaultRoutes(
    container.pid,
    gateways.ipv4?.endpoint.live.gateway4 ?? "",
    gateways.ipv6?.endpoint.live.gateway6 ?? "",
  );
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
  refreshHosts(context, container.id);
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

async function keep(
  context: NetworkContext,
  networks: ContainerNetworks,
  events: readonly NewEvent[],
): Promise<void> {
  await context.store.commit([context.registry.putContainer(networks)], events);
}

/** Errors: not_found, invalid_argument (host), internal (not connected, Docker's text). */
export async function disconnectNetwork(
  context: NetworkContext,
  networkRef: string,
  containerRef: string,
  force: boolean,
): Promise<void> {
  checkReference(containerRef);
  let id: string;
  try {
    ({ id } = context.directory.find(containerRef));
  } catch (error) {
    if (!force) throw error;
    await dropUnknown(context, context.registry.find(networkRef), containerRef);
    return;
  }
  const network = context.registry.find(networkRef);
  await context.directory.exclusively(id, async () => {
    const container = context.directory.find(id);
    const networks = networksOf(context, container);
    const endpoint = networks.endpoints.find((each) => isIn(each, network));
    if (endpoint === undefined) {
      const article = container.pid === 0 ? "the " : "";
      throw internal(
        `container ${container.id} is not connected to ${article}network ${network.name}`,
      );
    }
    if (network.driver === "host") throw invalidArgument(fromHost);
    await disconnect(context, container, networks, network, endpoint);
  });
}

async function disconnect(
  context: NetworkContext,
  container: FoundContainer,
  networks: ContainerNetworks,
  network: NetworkRecord,
  endpoint: EndpointRecord,
): Promise<void> {
  const left = networks.endpoints.filter((each) => each !== endpoint);
  const next = { ...networks, endpoints: left };
  if (container.pid === 0 || endpoint.live === undefined) {
    await keep(context, next, []);
    return;
  }
  const { interfaceName } = endpoint.live;
  // `none` has none.
  if (interfaceName !== "") await context.links.detach(container.pid, interfaceName);
  context.registry.giveBackAddresses(network.id, endpoint.live);
  const event: NewEvent = {
    type: "network",
    action: "disconnect",
    actorId: network.id,
    attributes: { container: container.id, name: network.name, type: network.driver },
  };
  context.registry.putContainer(next);
  const placed = placedOf(context, left);
  await settle(context, container, next, placed, chooseGateways(placed), [event]);
  refreshNeighbours(context, { ...networks, endpoints: [endpoint] });
}

/** `force`: an endpoint of a container that has no record any more. */
async function dropUnknown(
  context: NetworkContext,
  network: NetworkRecord,
  containerRef: string,
): Promise<void> {
  const member = context.registry
    .liveMembers(network.id)
    .find(
      ({ container }) => container.name === containerRef || container.containerId === containerRef,
    );
  if (member === undefined) {
    throw notFound("endpoint", containerRef);
  }
  const { container, endpoint } = member;
  if (endpoint.live !== undefined) context.registry.giveBackAddresses(network.id, endpoint.live);
  const endpoints = container.endpoints.filter((each) => each !== endpoint);
  await keep(context, { ...container, endpoints }, []);
  refreshNeighbours(context, { ...container, endpoints: [endpoint] });
}
