/** Makes the tables of name servers from what is known of networks. */
import { hasKind } from "@gantry/errors";
import { parseLink } from "../../domain/network/declare-rules.ts";
import {
  addressBytes,
  type NameMember,
  type NameNetwork,
  type NameTable,
  namesVersion,
  upstreamBytes,
} from "../../domain/network/name-table.ts";
import { defaultBridge } from "../../domain/network/network-modes.ts";
import type { EndpointRecord, NetworkRecord } from "../../domain/network/records.ts";
import type { ContainerDirectory } from "../../ports/networking.ts";
import { dnsNamesOf } from "./container-texts.ts";
import { byPreference } from "./endpoint-plan.ts";
import type { NameSettings } from "./name-keeper.ts";
import type { Member, NetworkRegistry } from "./registry.ts";

/** What tables are made from. */
export interface TableSources {
  readonly registry: NetworkRegistry;
  readonly directory: ContainerDirectory;
}

/** Whether names are known in a network: on every one but the default bridge. */
export function hasNames(network: NetworkRecord): boolean {
  return network.driver !== "host" && network.driver !== "null" && network.name !== defaultBridge;
}

/** Everything that a container's name server is to know. */
export function buildTable(
  sources: TableSources,
  containerId: string,
  settings: NameSettings,
): NameTable {
  const { registry } = sources;
  const endpoints = (registry.container(containerId)?.endpoints ?? []).filter(
    (endpoint) => endpoint.live !== undefined,
  );
  return {
    version: namesVersion,
    networks: inOrder(endpoints, registry).map(({ network, endpoint }) =>
      networkTable(sources, network, endpoint),
    ),
    upstreams: upstreamBytes(settings.upstreams),
    hasWayOut: endpoints.some(({ live }) => live?.gateway4 !== "" || live.gateway6 !== ""),
    keepSingleLabels: settings.keepSingleLabels,
  };
}

/** In the order in which they give the default routes. */
function inOrder(
  endpoints: readonly EndpointRecord[],
  registry: NetworkRegistry,
): { readonly network: NetworkRecord; readonly endpoint: EndpointRecord }[] {
  return endpoints
    .flatMap((endpoint) => {
      const network = registry.networkOf(endpoint);
      return network !== undefined && hasNames(network) ? [{ network, endpoint }] : [];
    })
    .sort(byPreference);
}

function networkTable(
  { registry, directory }: TableSources,
  network: NetworkRecord,
  endpoint: EndpointRecord,
): NameNetwork {
  return {
    id: network.id,
    name: network.name,
    links: endpoint.wish.links
      .map(parseLink)
      .map(({ alias, container }) => ({ alias, name: linkTarget(directory, container) })),
    members: registry.liveMembers(network.id).map(memberEntry),
  };
}

/** A name of the linked container that it keeps when it is renamed. */
function linkTarget(directory: ContainerDirectory, reference: string): string {
  try {
    return directory.find(reference).id.slice(0, 12);
  } catch (error) {
    // It may come later, under this name.
    if (hasKind(error, "not_found") || hasKind(error, "invalid_argument")) return reference;
    throw error;
  }
}

function memberEntry(member: Member): NameMember {
  const { live } = member.endpoint;
  return {
    id: member.container.containerId,
    names: dnsNamesOf(member),
    addresses: addressBytes([live?.ipv4 ?? "", live?.ipv6 ?? ""]),
  };
}

/** One member of a network, undefined when it is not in it (any more). */
export function memberOf(
  registry: NetworkRegistry,
  networkId: string,
  containerId: string,
): NameMember | undefined {
  const container = registry.container(containerId);
  if (container?.started !== true) return undefined;
  const endpoint = container.endpoints.find((each) => each.networkId === networkId && each.live);
  return endpoint === undefined ? undefined : memberEntry({ container, endpoint });
}
