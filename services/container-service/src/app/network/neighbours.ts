/** Tells those who may know a container by name when it comes, goes or is renamed. */
import { isDeepStrictEqual } from "node:util";
import { hasKind } from "@gantry/errors";
import type { ContainerNetworks } from "../../domain/network/records.ts";
import { wantedHostsLines } from "./container-texts.ts";
import { inBackground, type NetworkContext } from "./context.ts";
import { hasNames } from "./name-tables.ts";

/** Name servers of its networks are told; on the default bridge hosts files are edited, in the background. */
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
      void refreshHosts(context, containerId);
    }
  }
}

function hasLinks(context: NetworkContext, containerId: string): boolean {
  return (context.directory.byId(containerId)?.hostConfig.links?.values ?? []).length > 0;
}

/**
 * What is no longer so in a running container's hosts file is made true; what others wrote there stays. A file that
 * cannot be written is logged: the container's networks are what they are.
 */
export async function refreshHosts(context: NetworkContext, containerId: string): Promise<void> {
  try {
    await editHosts(context, containerId);
  } catch (error) {
    context.logger.error(
      { err: error, container: containerId },
      "hosts file not brought up to date",
    );
  }
}

async function editHosts(context: NetworkContext, containerId: string): Promise<void> {
  await context.hostsEdits.take(containerId, async () => {
    const networks = context.registry.container(containerId);
    const before = networks?.hostsLines;
    if (networks?.started !== true || before === undefined) return;
    const after = wantedLines(context, networks);
    if (after === undefined || isDeepStrictEqual(before, after)) return;
    await context.files.editHosts(containerId, before, after);
    const latest = context.registry.container(containerId);
    if (latest?.hostsLines !== before) return;
    const change = context.registry.putContainer({ ...latest, hostsLines: after });
    // Lost in a crash it is found again: an edit that has been made changes nothing.
    inBackground(context, "keep hosts lines", context.store.commit([change], []));
  });
}

function wantedLines(
  context: NetworkContext,
  networks: ContainerNetworks,
): readonly string[] | undefined {
  const container = context.directory.byId(networks.containerId);
  if (container === undefined) return undefined;
  try {
    return wantedHostsLines(context, container, networks);
  } catch (error) {
    // Whom it links to has stopped: the last known address stays, as with Docker.
    if (hasKind(error, "internal") || hasKind(error, "not_found")) return undefined;
    throw error;
  }
}
