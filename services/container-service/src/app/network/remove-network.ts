/** Removes a network, or those that nobody uses. */
import { permissionDenied } from "@gantry/errors";
import { isRemovable, type NetworkFilter } from "../../domain/network/network-filters.ts";
import { predefinedNames } from "../../domain/network/network-modes.ts";
import { type NetworkRecord, shownDriver } from "../../domain/network/records.ts";
import type { NewEvent } from "../../ports/metadata.ts";
import { ownLink } from "./bridge-state.ts";
import { inBackground, type NetworkContext } from "./context.ts";

/** Errors: not_found, permission_denied (predefined, active endpoints, a configuration in use). */
export async function removeNetwork(context: NetworkContext, reference: string): Promise<void> {
  const network = context.registry.find(reference);
  if (predefinedNames.includes(network.name)) {
    throw permissionDenied(`${network.name} is a pre-defined network and cannot be removed`);
  }
  const members = context.registry.liveMembers(network.id);
  if (members.length > 0) {
    const list = members.map(
      ({ container, endpoint }) =>
        `name:${JSON.stringify(container.name)} id:${JSON.stringify(endpoint.live?.endpointId.slice(0, 12))}`,
    );
    throw permissionDenied(
      `error while removing network: network ${network.name} has active endpoints (${list.join(", ")})`,
    );
  }
  if (isConfigurationInUse(context, network)) {
    throw permissionDenied(
      `error while removing network: configuration network ${JSON.stringify(network.name)} is in use`,
    );
  }
  await remove(context, network, "destroy");
}

function isConfigurationInUse({ registry }: NetworkContext, network: NetworkRecord): boolean {
  return (
    network.configOnly &&
    registry.reservedNetworks().some(({ configFrom }) => configFrom === network.name)
  );
}

async function remove(
  context: NetworkContext,
  network: NetworkRecord,
  action: string,
): Promise<void> {
  const change = context.registry.removeNetwork(network.id);
  const event: NewEvent = {
    type: "network",
    action,
    actorId: network.id,
    attributes: { name: network.name, type: shownDriver(network) },
  };
  try {
    await context.store.commit([change], [event], { durable: true });
  } catch (error) {
    context.registry.putNetwork(network);
    throw error;
  }
  if (network.driver === "bridge") {
    inBackground(context, "rewrite rules", context.rules.rewrite());
  }
  const link = ownLink(network);
  if (link === "") return;
  // Deleting a link waits for the kernel's grace period: the answer does not.
  inBackground(context, "remove link", context.links.removeLink(link));
}

function isUsed({ registry }: NetworkContext, network: NetworkRecord): boolean {
  if (registry.liveMembers(network.id).length > 0) return true;
  return registry
    .containers()
    .some(({ endpoints }) =>
      endpoints.some((endpoint) => registry.networkOf(endpoint)?.id === network.id),
    );
}

/** Removes networks without endpoints, also of stopped containers. Returns their names. */
export async function pruneNetworks(
  context: NetworkContext,
  filter: NetworkFilter,
): Promise<string[]> {
  const deleted: string[] = [];
  for (const network of context.registry.networks()) {
    if (!isRemovable(network, filter)) continue;
    // Others are at work between one removal and the next.
    if (context.registry.network(network.id) !== network) continue;
    if (isUsed(context, network)) continue;
    await remove(context, network, "destroy");
    deleted.push(network.name);
  }
  await context.store.commit(
    [],
    [{ type: "network", action: "prune", actorId: "", attributes: { reclaimed: "0" } }],
  );
  return deleted;
}
