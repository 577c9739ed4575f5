/** Tells those who may know a container by name when it comes, goes or is renamed. */
import { hasKind } from "@gantry/errors";
import type { ContainerNetworks } from "../../domain/network/records.ts";
import { hostsText } from "./container-texts.ts";
import { inBackground, type NetworkContext } from "./context.ts";
import { hasNames } from "./name-tables.ts";

/** Name servers of its networks are told; on the default bridge hosts files are rewritten, in the background. */
export function refreshNeighbours(context: NetworkContext, changed: ContainerNetworks): void {
  for (const endpoint of changed.endpoints) {
    const network = context.registry.networkOf(endpoint);
    if (network === undefined || network.driver === "host" || network.driver === "null") continue;
    if (hasNames(network)) context.names.changed(network.id, changed.containerId);
    else refreshLinkers(context, network.id, changed.containerId);
  }
}

function refreshLinkers(context: NetworkContext, bridgeId: string, changedId: string): void {
  for (const { container } of context.registry.liveMembers(bridgeId)) {
    const { containerId } = container;
    if (containerId !== changedId && hasLinks(context, containerId)) {
      refreshHosts(context, containerId);
    }
  }
}

function hasLinks(context: NetworkContext, containerId: string): boolean {
  return (context.directory.byId(containerId)?.hostConfig.links?.values ?? []).length > 0;
}

/** Rewrites one running container's hosts file in the background. */
export function refreshHosts(context: NetworkContext, containerId: string): void {
  const container = context.directory.byId(containerId);
  const networks = context.registry.container(containerId);
  if (container === undefined || networks?.started !== true) return;
  let text: string;
  try {
    text = hostsText(context, container, networks);
  } catch (error) {
    // Whom it links to has stopped: the last known address stays, as with Docker.
    if (hasKind(error, "internal") || hasKind(error, "not_found")) return;
    throw error;
  }
  inBackground(context, "rewrite hosts", context.files.rewriteHosts(containerId, text));
}
