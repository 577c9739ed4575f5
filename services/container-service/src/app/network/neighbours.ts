/** Keeps the hosts files of running containers true when somebody near them comes, goes or is renamed. */
import { hasKind } from "@gantry/errors";
import { defaultBridge } from "../../domain/network/network-modes.ts";
import type { ContainerNetworks } from "../../domain/network/records.ts";
import { hostsText } from "./container-texts.ts";
import { inBackground, type NetworkContext } from "./context.ts";

/** Rewrites, in the background, the hosts files of those who may know the container by name. */
export function refreshNeighbours(context: NetworkContext, changed: ContainerNetworks): void {
  for (const id of neighbourIds(context, changed)) refreshHosts(context, id);
}

function neighbourIds(context: NetworkContext, changed: ContainerNetworks): Set<string> {
  const ids = new Set<string>();
  for (const endpoint of changed.endpoints) {
    const network = context.registry.networkOf(endpoint);
    if (network === undefined || network.driver === "host" || network.driver === "null") continue;
    for (const member of context.registry.liveMembers(network.id)) {
      // On the default bridge only those who link to somebody know names.
      if (network.name === defaultBridge && !hasLinks(context, member.container.containerId))
        continue;
      ids.add(member.container.containerId);
    }
  }
  ids.delete(changed.containerId);
  return ids;
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
