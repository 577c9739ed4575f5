/** Takes note of what a new container wants of networks. */
import { invalidArgument, isEngineError } from "@gantry/errors";
import { parseSubnet, type Subnet } from "../../domain/network/address.ts";
import {
  type AskedNetwork,
  checkNetworkChoice,
  endpointProblem,
  isWord,
  type NetworkChoice,
  parseLink,
} from "../../domain/network/declare-rules.ts";
import { defaultBridge, normalizeMode, parseMode } from "../../domain/network/network-modes.ts";
import { joinProblems } from "../../domain/network/problems.ts";
import type {
  ContainerNetworks,
  EndpointRecord,
  EndpointWish,
  NetworkRecord,
} from "../../domain/network/records.ts";
import type {
  DeclaredNetwork,
  EndpointRequest,
  NetworkedContainer,
} from "../../ports/networking.ts";
import { inBackground, type NetworkContext } from "./context.ts";

/** Touches nothing in the kernel. Errors: invalid_argument. */
export function declareNetworks(
  context: NetworkContext,
  container: NetworkedContainer,
  endpoints: Readonly<Record<string, EndpointRequest>>,
): DeclaredNetwork {
  const choice = choiceOf(container);
  checkNetworkChoice(choice);
  checkLinks(context, choice);
  const mode = normalizeMode(container.hostConfig.networkMode);
  const networks: ContainerNetworks = {
    containerId: container.id,
    name: container.name,
    hostname: container.config.hostname,
    mode,
    endpoints: endpointsOf(context, container, endpoints),
    started: false,
    pid: 0,
    published: [],
    exposed: [],
  };
  const change = context.registry.putContainer(networks);
  inBackground(context, "keep endpoints", context.store.commit([change], []));
  return { networkMode: mode, warnings: warningsOf(choice) };
}

function choiceOf(container: NetworkedContainer): NetworkChoice {
  const { config, hostConfig } = container;
  return {
    mode: config.networkDisabled
      ? { kind: "none" }
      : parseMode(normalizeMode(hostConfig.networkMode)),
    hostname: config.hostname,
    domainname: config.domainname,
    utsMode: hostConfig.utsMode,
    exposedPorts: config.exposedPorts,
    portBindings: hostConfig.portBindings,
    publishAllPorts: hostConfig.publishAllPorts,
    dns: hostConfig.dns?.values ?? [],
    dnsOptions: hostConfig.dnsOptions?.values ?? [],
    dnsSearch: hostConfig.dnsSearch?.values ?? [],
    extraHosts: hostConfig.extraHosts?.values ?? [],
    links: hostConfig.links?.values ?? [],
    macAddress: config.macAddress,
  };
}

/** On other networks links are the endpoint's: these have no effect there, as with Docker. */
function checkLinks(context: NetworkContext, { mode, links }: NetworkChoice): void {
  if (mode.kind === "network" && mode.reference !== defaultBridge) return;
  for (const link of links) checkLinked(context, link);
}

/** Never not_found: in the answer to create that means a missing image. */
function checkLinked(context: NetworkContext, text: string): void {
  const { container, alias } = parseLink(text);
  try {
    if (container === "") throw invalidArgument('invalid name or ID supplied: ""');
    context.directory.find(container);
  } catch (error) {
    if (!isEngineError(error)) throw error;
    throw invalidArgument(`could not get container for ${container}: ${error.message}`, {
      cause: error,
    });
  }
  // Docker takes any; it is written into the hosts file.
  if (!isWord(alias)) throw invalidArgument(`bad format for links: ${text}`);
}

const noWish: EndpointWish = {
  links: [],
  aliases: [],
  driverOpts: {},
  gwPriority: 0,
  macAddress: "",
};

/**
 * A container's endpoints: those that were asked for, else one in the network of its mode. A container
 * that asks for endpoints elsewhere alone is not in the network of its mode.
 */
function endpointsOf(
  context: NetworkContext,
  container: NetworkedContainer,
  requests: Readonly<Record<string, EndpointRequest>>,
): EndpointRecord[] {
  const mode = parseMode(normalizeMode(container.hostConfig.networkMode));
  const primary = mode.kind === "network" ? mode.reference : mode.kind;
  const wishes = wishesOf(context, primary, requests);
  if (container.config.networkDisabled || mode.kind === "container") return [];
  return [...wishes].map(([reference, { networkId, wish }]) => ({
    networkRef: reference,
    networkId: idOf(context, reference),
    ...(networkId === "" ? {} : { askedNetworkId: networkId }),
    wish: reference === primary ? primaryWish(container, wish) : wish,
  }));
}

/** What is asked of each network, by its reference. Errors: invalid_argument, with the problems of all. */
function wishesOf(
  context: NetworkContext,
  primary: string,
  requests: Readonly<Record<string, EndpointRequest>>,
): ReadonlyMap<string, { readonly networkId: string; readonly wish: EndpointWish }> {
  const wishes = new Map<string, { networkId: string; wish: EndpointWish }>();
  const problems: string[] = [];
  for (const [name, request] of Object.entries(requests)) {
    const isPrimary = name === "default" || isSameNetwork(context, name, primary);
    const reference = isPrimary ? primary : name;
    const wish = wishOf(request);
    const problem = endpointProblem(askedNetwork(context, reference), wish);
    if (problem !== "") {
      problems.push(`invalid config for network ${nameOf(context, reference)}: ${problem}`);
    }
    wishes.set(reference, { networkId: request.networkId ?? "", wish });
  }
  if (problems.length > 0) throw invalidArgument(joinProblems(problems));
  return wishes.size > 0 ? wishes : new Map([[primary, { networkId: "", wish: noWish }]]);
}

/** What is asked of the container as a whole goes to its primary endpoint. */
function primaryWish(container: NetworkedContainer, wish: EndpointWish): EndpointWish {
  return wish.macAddress === "" ? { ...wish, macAddress: container.config.macAddress } : wish;
}

/** A copy without anything that is not asked for. */
export function wishOf(request: EndpointRequest): EndpointWish {
  const ipam = request.ipamConfig;
  return {
    ...(ipam === undefined
      ? {}
      : {
          ipamConfig: {
            ipv4Address: ipam.ipv4Address,
            ipv6Address: ipam.ipv6Address,
            linkLocalIps: [...ipam.linkLocalIps],
          },
        }),
    links: [...request.links],
    aliases: [...request.aliases],
    driverOpts: { ...request.driverOpts },
    gwPriority: request.gwPriority,
    macAddress: request.macAddress,
    ...(request.hasLinks === true && { hasLinks: true }),
    ...(request.hasAliases === true && { hasAliases: true }),
    ...(request.hasDriverOpts === true && { hasDriverOpts: true }),
  };
}

function isSameNetwork(context: NetworkContext, one: string, other: string): boolean {
  const id = idOf(context, one);
  return one === other || (id !== "" && id === idOf(context, other));
}

/** Empty while there is no such network: the start will tell. */
function idOf(context: NetworkContext, reference: string): string {
  const network = context.registry.network(reference) ?? context.registry.byName(reference);
  return network?.id ?? "";
}

/** What is known of a network that an endpoint is asked of. */
function askedNetwork(context: NetworkContext, reference: string): AskedNetwork {
  const network = context.registry.network(reference) ?? context.registry.byName(reference);
  return {
    name: network?.name ?? reference,
    subnets: network === undefined ? undefined : askableSubnets(network),
  };
}

/** Subnets that endpoints may ask addresses of: not the default bridge's, nor those that were chosen for the network. */
export function askableSubnets(network: NetworkRecord): Subnet[] {
  if (network.name === defaultBridge) return [];
  return network.ipam.config.flatMap(({ subnet, isChosen }) =>
    isChosen === true ? [] : (parseSubnet(subnet) ?? []),
  );
}

function nameOf(context: NetworkContext, reference: string): string {
  return context.registry.network(reference)?.name ?? reference;
}

function warningsOf(choice: NetworkChoice): string[] {
  const warnings: string[] = [];
  if (choice.mode.kind === "host" && choice.portBindings.length > 0) {
    warnings.push("Published ports are discarded when using host network mode");
  }
  return warnings;
}
