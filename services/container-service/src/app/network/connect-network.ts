/** Connects a container to a network; one that runs at once, others at their start. */
import { conflict, internal, invalidArgument, notFound, permissionDenied } from "@gantry/errors";
import { checkNewcomer, sharedNamespace } from "../../domain/network/company.ts";
import { checkEndpointWish } from "../../domain/network/declare-rules.ts";
import { parseMode } from "../../domain/network/network-modes.ts";
import {
  type ContainerNetworks,
  type EndpointRecord,
  type EndpointWish,
  isBound,
  type NetworkRecord,
  settled,
} from "../../domain/network/records.ts";
import { NamespaceGoneError } from "../../ports/network-host.ts";
import type { FoundContainer } from "../../ports/networking.ts";
import { inBackground, type NetworkContext } from "./context.ts";
import { askableSubnets } from "./declare-networks.ts";
import {
  checkSysctls,
  type GatewayChoice,
  placeEndpoints,
  planInterfaces,
} from "./endpoint-plan.ts";
import { checkReference, findMade, isCalled, isIn, networksOf } from "./places.ts";
import { connectEvent } from "./prepare-start.ts";
import { keep, placedOf, settle } from "./settle-endpoints.ts";

/** What is asked of a new endpoint. */
export interface ConnectRequest {
  /** ID of the network as the endpoint's settings name it, or empty. */
  readonly networkId: string;
  readonly wish: EndpointWish;
}

/**
 * One that does not run can be connected to a network that is yet to be made. Errors: not_found, invalid_argument,
 * permission_denied (already connected, address in use), conflict (being removed). After an error nothing has changed.
 */
export async function connectNetwork(
  context: NetworkContext,
  networkRef: string,
  containerRef: string,
  request: ConnectRequest,
): Promise<void> {
  checkReference(containerRef);
  const { id } = context.directory.find(containerRef);
  await context.directory.exclusively(id, async () => {
    const container = context.directory.find(id);
    const networks = networksOf(context, container);
    checkRemains(container);
    // In another container's namespace it holds nothing of its own.
    const isJoined = parseMode(networks.mode).kind === "container";
    if (container.pid !== 0 && (networks.started || isJoined))
      await connectLive(context, container, networks, networkRef, request);
    else await connectStopped(context, networks, networkRef, request);
  });
}

/** One whose end is about to be told is connected as those that have ended. */
async function connectLive(
  context: NetworkContext,
  container: FoundContainer,
  networks: ContainerNetworks,
  networkRef: string,
  request: ConnectRequest,
): Promise<void> {
  try {
    await connectRunning(context, container, networks, networkRef, request);
  } catch (error) {
    if (!(error instanceof NamespaceGoneError)) throw error;
    await connectStopped(context, networks, networkRef, request);
  }
}

function checkRemains({ removing }: FoundContainer): void {
  if (!removing) return;
  throw conflict(
    "container is marked for removal and cannot be connected or disconnected to network",
  );
}

/** Networks of the other endpoints. */
function othersOf(context: NetworkContext, { endpoints }: ContainerNetworks): NetworkRecord[] {
  return endpoints.flatMap((endpoint) => context.registry.networkOf(endpoint) ?? []);
}

/** Takes note for the next start. In a network that it is in already, nothing changes. */
async function connectStopped(
  context: NetworkContext,
  networks: ContainerNetworks,
  networkRef: string,
  request: ConnectRequest,
): Promise<void> {
  const network = findMade(context, networkRef);
  if (network === undefined) {
    await connectUnmade(context, networks, networkRef, request);
    return;
  }
  const asked = { name: network.name, subnets: askableSubnets(network) };
  checkEndpointWish(asked, request.wish);
  const held = networks.endpoints.find((endpoint) => isIn(endpoint, network));
  // One that was in a network of that name which is no more waits for this one.
  const isLost = held !== undefined && held.networkId !== network.id && isBound(networks, held);
  if (held !== undefined && !isLost) return;
  const others = networks.endpoints.filter((endpoint) => endpoint !== held);
  const company = othersOf(context, { ...networks, endpoints: others });
  checkNewcomer(parseMode(networks.mode), company, network);
  const endpoint = waiting(network.name, network.id, request);
  await keep(context, { ...networks, endpoints: [...others, endpoint] }, []);
}

/** Its start looks for the network. What was asked of that name before is forgotten. */
async function connectUnmade(
  context: NetworkContext,
  networks: ContainerNetworks,
  networkRef: string,
  request: ConnectRequest,
): Promise<void> {
  if (parseMode(networks.mode).kind === "container") throw invalidArgument(sharedNamespace);
  const others = networks.endpoints.filter((each) => !isCalled(each, networkRef));
  const endpoint = waiting(networkRef, "", request);
  await keep(context, { ...networks, endpoints: [...others, endpoint] }, []);
}

/** A place for the next start. */
function waiting(
  networkRef: string,
  networkId: string,
  { networkId: askedNetworkId, wish }: ConnectRequest,
): EndpointRecord {
  const asked = askedNetworkId === "" ? {} : { askedNetworkId };
  return { networkRef, networkId, ...asked, wish, isWaiting: true };
}

/** The network of a running container's new endpoint: an ID among its settings comes before the name. */
function newcomerOf(
  context: NetworkContext,
  container: FoundContainer,
  networks: ContainerNetworks,
  networkRef: string,
  { networkId, wish }: ConnectRequest,
): NetworkRecord {
  const network = context.registry.find(networkId || networkRef);
  const mode = parseMode(networks.mode);
  if (mode.kind === "container") throw invalidArgument(sharedNamespace);
  const isThere = networks.endpoints.some((endpoint) => isIn(endpoint, network));
  if (!isThere) checkNewcomer(mode, othersOf(context, networks), network);
  if (!isThere && network.configOnly) {
    throw permissionDenied("cannot create endpoint on configuration-only network");
  }
  checkEndpointWish({ name: network.name, subnets: askableSubnets(network) }, wish);
  if (isThere) {
    throw permissionDenied(
      `endpoint with name ${container.name} already exists in network ${network.name}`,
    );
  }
  if (container.config.networkDisabled) {
    const message = `network sandbox for container ${container.id} not found`;
    throw notFound("sandbox", container.id, message);
  }
  return network;
}

async function connectRunning(
  context: NetworkContext,
  container: FoundContainer,
  networks: ContainerNetworks,
  networkRef: string,
  request: ConnectRequest,
): Promise<void> {
  const network = newcomerOf(context, container, networks, networkRef, request);
  const endpoint = { networkRef: network.name, networkId: network.id, wish: request.wish };
  const usedNames = new Set(networks.endpoints.flatMap(({ live }) => live?.interfaceName ?? []));
  const { name } = networks;
  const [added] = placeEndpoints(context, [{ network, endpoint }], { name, usedNames });
  if (added === undefined) throw internal("endpoint was not placed");
  using _coming = context.registry.expectEndpoint({
    container: networks,
    endpoint: added.endpoint,
  });
  const others = networks.endpoints;
  const placed = [...placedOf(context, others), added];
  let isMade = false;
  try {
    await checkSysctls(context, [added]);
    const [plan] = planInterfaces(context, [added], noGateways);
    if (plan?.hostName === "") await keep(context, { ...networks, unsettled: plan.name }, []);
    if (plan !== undefined) await context.links.attach(container.pid, plan);
    isMade = plan !== undefined;
    const next = {
      ...networks,
      endpoints: [...others, added.endpoint],
    };
    const events = [connectEvent(container.id, added)];
    await settle(context, container, next, placed, { before: placedOf(context, others), events });
  } catch (error) {
    if (!wasReleased(context, container.id, network.id)) {
      context.registry.giveBackAddresses(network.id, added.endpoint.live);
    }
    // One of that name that was there before is somebody else's.
    if (isMade) await context.links.detach(container.pid, added.endpoint.live);
    await takeBack(context, container, networks);
    throw error;
  }
}

/** Whether the container has ended with an endpoint in the network: its addresses are somebody else's by now. */
function wasReleased({ registry }: NetworkContext, id: string, networkId: string): boolean {
  const endpoints = registry.container(id)?.endpoints ?? [];
  return endpoints.some((each) => each.networkId === networkId && each.live === undefined);
}

/** Routes, ports and records as they were without an endpoint that has not come to be. */
async function takeBack(
  context: NetworkContext,
  container: FoundContainer,
  networks: ContainerNetworks,
): Promise<void> {
  const now = context.registry.container(container.id);
  // One that has ended meanwhile holds nothing.
  if (now?.started !== true) return;
  if (now.endpoints.length === networks.endpoints.length) {
    if (now.unsettled === undefined) return;
    inBackground(context, "keep endpoints", keep(context, settled(now), []));
    return;
  }
  const left = { ...networks, published: now.published };
  const placed = placedOf(context, left.endpoints);
  const before = placedOf(context, now.endpoints);
  context.registry.putContainer(left);
  try {
    await settle(context, container, left, placed, { before, events: [] });
  } catch (error) {
    // What the disk refuses was never written.
    context.logger.error({ err: error, container: container.id }, "a connect was not taken back");
  }
}

const noGateways: GatewayChoice = { ipv4: undefined, ipv6: undefined };
