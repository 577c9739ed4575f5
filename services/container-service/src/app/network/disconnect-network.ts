/** Disconnects a container from a network; one that runs at once. */
import { internal, invalidArgument, notFound } from "@gantry/errors";
import type {
  ContainerNetworks,
  EndpointRecord,
  NetworkRecord,
} from "../../domain/network/records.ts";
import type { NewEvent } from "../../ports/metadata.ts";
import type { FoundContainer } from "../../ports/networking.ts";
import type { NetworkContext } from "./context.ts";
import { refreshNeighbours } from "./neighbours.ts";
import { checkReference, findMade, isCalled, isIn, networksOf } from "./places.ts";
import { keep, placedOf, settle } from "./settle-endpoints.ts";

const fromHost =
  "cannot disconnect container from host network - container was created in host network mode";

/**
 * A container that does not run, or with `force`, can leave a network that is no more. Errors: not_found,
 * invalid_argument (host), internal (not connected, Docker's text).
 */
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
  await context.directory.exclusively(id, async () => {
    const container = context.directory.find(id);
    const mayBeGone = container.pid === 0 || force;
    const network = mayBeGone ? findMade(context, networkRef) : context.registry.find(networkRef);
    const networks = networksOf(context, container);
    const endpoint = networks.endpoints.find((each) =>
      network === undefined ? isCalled(each, networkRef) : isIn(each, network),
    );
    if (endpoint === undefined) {
      const article = container.pid === 0 || network === undefined ? "the " : "";
      const name = network?.name ?? networkRef;
      throw internal(`container ${container.id} is not connected to ${article}network ${name}`);
    }
    if (network?.driver === "host" && container.pid !== 0) throw invalidArgument(fromHost);
    await disconnect(context, container, networks, network, endpoint);
  });
}

async function disconnect(
  context: NetworkContext,
  container: FoundContainer,
  networks: ContainerNetworks,
  network: NetworkRecord | undefined,
  endpoint: EndpointRecord,
): Promise<void> {
  const left = networks.endpoints.filter((each) => each !== endpoint);
  const next = { ...networks, endpoints: left };
  if (network === undefined || container.pid === 0 || endpoint.live === undefined) {
    await keep(context, next, []);
    return;
  }
  const { interfaceName, hostName } = endpoint.live;
  // Kept first: whatever is left of the interface after a crash is removed at the next start.
  const isChild = interfaceName !== "" && hostName === "";
  await keep(context, { ...next, ...(isChild ? { unsettled: interfaceName } : {}) }, []);
  // `none` has none.
  if (interfaceName !== "") await context.links.detach(container.pid, endpoint.live);
  context.registry.giveBackAddresses(network.id, endpoint.live);
  const event: NewEvent = {
    type: "network",
    action: "disconnect",
    actorId: network.id,
    attributes: { container: container.id, name: network.name, type: network.driver },
  };
  const before = placedOf(context, networks.endpoints);
  const placed = placedOf(context, left);
  await settle(context, container, next, placed, { before, events: [event] });
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
