/** Gives back what a container's networks hold. */
import { type LiveEndpoint, settled } from "../../domain/network/records.ts";
import type { NewEvent } from "../../ports/metadata.ts";
import { inBackground, type NetworkContext } from "./context.ts";
import { refreshNeighbours } from "./neighbours.ts";
import { unpublishPorts } from "./publish-ports.ts";

/** Addresses and ports are free at once; the events tell of the endpoints that were there. Idempotent. */
export function releaseNetworks(context: NetworkContext, containerId: string): NewEvent[] {
  const networks = context.registry.container(containerId);
  if (networks?.started !== true) return [];
  context.names.forget(containerId);
  unpublishPorts(context, networks.published);
  const events: NewEvent[] = [];
  const endpoints = networks.endpoints.map(({ live, ...endpoint }) => {
    if (live === undefined) return endpoint;
    context.registry.giveBackAddresses(endpoint.networkId, live);
    removeHostLink(context, live);
    const network = context.registry.network(endpoint.networkId);
    if (network !== undefined) {
      events.push({
        type: "network",
        action: "disconnect",
        actorId: network.id,
        attributes: { container: containerId, name: network.name, type: network.driver },
      });
    }
    return endpoint;
  });
  const change = context.registry.putContainer({
    ...settled(networks),
    endpoints,
    started: false,
    pid: 0,
    published: [],
    exposed: [],
  });
  inBackground(context, "keep endpoints", context.store.commit([change], []));
  refreshNeighbours(context, networks);
  return events;
}

/**
 * The shim process takes away what it made at its start. A link of a network that was connected later
 * goes with its namespace, but only when the kernel gets to it, which takes seconds on a busy machine.
 */
function removeHostLink(context: NetworkContext, { hostName }: LiveEndpoint): void {
  if (hostName === "") return;
  inBackground(context, "remove link", context.links.removeLink(hostName));
}
