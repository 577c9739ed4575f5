/** Takes note of what a new container wants of networks. */
import { invalidArgument } from "@gantry/errors";
import { parseSubnet, type Subnet } from "../../domain/network/address.ts";
import {
  type AskedNetwork,
  checkEndpointWish,
  checkNetworkChoice,
  type NetworkChoice,
  parseLink,
} from "../../domain/network/declare-rules.ts";
import {
  defaultBridge,
  normalizeMode,
  parseMode,
  predefinedNames,
} from "../../domain/network/network-modes.ts";
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

/** On a network with names a link is a name, and may be of nobody yet. */
function checkLinks(context: NetworkContext, { mode, links }: NetworkChoice): void {
  const isNamed = mode.kind === "network" && mode.reference !== defaultBridge;
  for (const link of links) {
    if (isNamed) parseLink(link);
    else checkLinked(context, link);
  }
}

/** Never not_found: in the answer to create that means a missing image. */
function checkLinked(context: NetworkContext, text: string): void {
  const { container } = parseLink(text);
  try {
    context.directory.find(container);
  } catch (error) {
    throw invalidArgument(
      `could not get container for ${container}: No such container: ${container}`,
      {
        cause: error,
      },
    );
  }
}

const noWish: EndpointWish = {
  links: [],
  aliases: [],
  driverOpts: {},
  gwPriority: 0,
  macAddress: "",
};

function endpointsOf(
  context: NetworkContext,
  container: NetworkedContainer,
  requests: Readonly<Record<string, EndpointRequest>>,
): EndpointRecord[] {
  const mode = container.config.networkDisabled
    ? ({ kind: "none" } as const)
    : parseMode(normalizeMode(container.hostConfig.networkMode));
  if (mode.kind === "container") {
    refuseEndpoints(requests);
    return [];
  }
  const primary = mode.kind === "network" ? mode.reference : mode.kind;
  const wishes = new Map<string, EndpointWish>([[primary, noWish]]);
  for (const [name, request] of Object.entries(requests)) {
    const reference = name === "default" || isSameNetwork(context, name, primary) ? primary : name;
    wishes.set(reference, wishOf(request));
  }
  if (wishes.size > 1) checkSeveral(wishes);
  return [...wishes].map(([reference, wish]) => {
    const complete = reference === primary ? primaryWish(container, reference, wish) : wish;
    checkEndpointWish(
      askedNetwork(context, reference),
      complete,
      `invalid config for network ${nameOf(context, reference)}: `,
    );
    return { networkRef: reference, networkId: idOf(context, reference), wish: complete };
  });
}

function refuseEndpoints(requests: Readonly<Record<string, EndpointRequest>>): void {
  const names = Object.keys(requests).filter((name) => name !== "default");
  const wished = names.filter((name) => !name.startsWith("container:"));
  if (wished.length > 0) {
    throw invalidArgument(
      "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
    );
  }
}

function checkSeveral(wishes: ReadonlyMap<string, EndpointWish>): void {
  const isAlone = (name: string): boolean => name === "host" || name === "none";
  if ([...wishes.keys()].some(isAlone)) {
    throw invalidArgument(
      "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
    );
  }
}

/** What is asked of the container as a whole goes to its primary endpoint. */
function primaryWish(
  container: NetworkedContainer,
  reference: string,
  wish: EndpointWish,
): EndpointWish {
  const links = container.hostConfig.links?.values ?? [];
  return {
    ...wish,
    macAddress: wish.macAddress === "" ? container.config.macAddress : wish.macAddress,
    links: predefinedNames.includes(reference)
      ? wish.links
      : [...new Set([...wish.links, ...links])],
  };
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
export function askedNetwork(context: NetworkContext, reference: string): AskedNetwork {
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
