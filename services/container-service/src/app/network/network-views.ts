/** Networks and endpoints as inspect and list show them. */
import { parseSubnet } from "../../domain/network/address.ts";
import { textDigest } from "../../domain/network/container-files.ts";
import { defaultBridge, parseMode } from "../../domain/network/network-modes.ts";
import { formatContainerPort } from "../../domain/network/port-spec.ts";
import {
  type ContainerNetworks,
  type EndpointRecord,
  isBound,
  type NetworkRecord,
  wasStarted,
} from "../../domain/network/records.ts";
import type { EndpointView, NetworkSettingsView, PortBindings } from "../../ports/networking.ts";
import { dnsNamesOf } from "./container-texts.ts";
import type { NetworkRegistry } from "./registry.ts";

/** Use of one subnet. */
export interface SubnetUse {
  readonly ipsInUse: bigint;
  readonly dynamicIpsAvailable: bigint;
}

/** One endpoint as network inspect shows it. */
export interface NetworkMemberView {
  readonly name: string;
  readonly endpointId: string;
  readonly macAddress: string;
  readonly ipv4Address: string;
  readonly ipv6Address: string;
}

/** A network with what is in it. */
export interface NetworkView {
  readonly record: NetworkRecord;
  /** By container ID. */
  readonly containers: Readonly<Record<string, NetworkMemberView>>;
  /** By CIDR. */
  readonly subnets: Readonly<Record<string, SubnetUse>>;
}

export function viewNetwork(registry: NetworkRegistry, record: NetworkRecord): NetworkView {
  const members = registry.liveMembers(record.id).map(({ container, endpoint }) => {
    const { live } = endpoint;
    const view: NetworkMemberView = {
      name: container.name,
      endpointId: live?.endpointId ?? "",
      macAddress: live?.macAddress ?? "",
      ipv4Address: live?.ipv4 ?? "",
      ipv6Address: live?.ipv6 ?? "",
    };
    return [container.containerId, view] as const;
  });
  return {
    record,
    containers: Object.fromEntries(members),
    subnets: Object.fromEntries(subnetUses(registry, record)),
  };
}

function subnetUses(registry: NetworkRegistry, record: NetworkRecord): [string, SubnetUse][] {
  return registry.pools(record.id).map((pool) => {
    const { inUse, available } = pool.use();
    const cidr = record.ipam.config.find(
      ({ subnet }) => parseSubnet(subnet)?.base === pool.subnet.base,
    );
    return [cidr?.subnet ?? "", { ipsInUse: inUse, dynamicIpsAvailable: available }];
  });
}

const nothing: NetworkSettingsView = { sandboxId: "", sandboxKey: "", ports: [], networks: {} };

/** Views by the records that they were made of. */
const made = new WeakMap<
  ContainerNetworks,
  { readonly networks: readonly (NetworkRecord | undefined)[]; readonly view: NetworkSettingsView }
>();

/** NetworkSettings of a container: the same object until a record that it shows is replaced. */
export function viewSettings(registry: NetworkRegistry, containerId: string): NetworkSettingsView {
  const container = registry.container(containerId);
  if (container === undefined) return nothing;
  const networks = container.endpoints.map((endpoint) => registry.networkOf(endpoint));
  const known = made.get(container);
  if (known?.networks.every((network, index) => network === networks[index])) return known.view;
  const view = makeSettings(container, networks);
  made.set(container, { networks, view });
  return view;
}

/** The MAC address asked of the endpoint in the network of the container's mode, or empty. */
export function askedMac(registry: NetworkRegistry, containerId: string): string {
  const container = registry.container(containerId);
  const primary = container?.endpoints.find((endpoint) => {
    const { name, id } = registry.networkOf(endpoint) ?? { name: endpoint.networkRef, id: "" };
    return name === container.mode || id === container.mode;
  });
  return primary?.wish.macAddress ?? "";
}

function makeSettings(
  container: ContainerNetworks,
  networks: readonly (NetworkRecord | undefined)[],
): NetworkSettingsView {
  const endpoints = container.endpoints.map((endpoint, index) => {
    const network = networks[index];
    return [
      network?.name ?? endpoint.networkRef,
      viewEndpoint(container, endpoint, network),
    ] as const;
  });
  const started = container.started && container.pid > 0;
  return {
    sandboxId: started ? sandboxIdOf(container) : "",
    sandboxKey: started ? `/proc/${container.pid}/ns/net` : "",
    ports: container.started ? viewPorts(container) : [],
    networks: Object.fromEntries(endpoints),
  };
}

/** Identity of the namespace, whatever networks come and go; empty for that of another container. */
function sandboxIdOf({ containerId, mode, pid }: ContainerNetworks): string {
  if (parseMode(mode).kind === "container") return "";
  return textDigest(`${containerId} ${pid}`);
}

function viewEndpoint(
  container: ContainerNetworks,
  endpoint: EndpointRecord,
  network: NetworkRecord | undefined,
): EndpointView {
  const { wish, live } = endpoint;
  const [ipAddress = "", prefix4 = "0"] = live?.ipv4.split("/") ?? [];
  const [globalIpv6Address = "", prefix6 = "0"] = live?.ipv6.split("/") ?? [];
  return {
    ...wish,
    macAddress: viewMac(container, endpoint),
    ...viewIdentity(container, endpoint, network),
    endpointId: live?.endpointId ?? "",
    gateway: live?.gateway4 ?? "",
    ipAddress,
    ipPrefixLen: Number(prefix4),
    ipv6Gateway: live?.gateway6 ?? "",
    globalIpv6Address,
    globalIpv6PrefixLen: Number(prefix6),
  };
}

/** Of a container that was started and is no more, not even what was asked for is shown. */
function viewMac(container: ContainerNetworks, { wish, live }: EndpointRecord): string {
  if (live === undefined && wasStarted(container)) return "";
  return live?.macAddress || wish.macAddress;
}

/** Before its first start a container knows its networks by name only; its own names, when it was connected. */
function viewIdentity(
  container: ContainerNetworks,
  endpoint: EndpointRecord,
  network: NetworkRecord | undefined,
): Pick<EndpointView, "networkId" | "dnsNames"> {
  const { askedNetworkId = "", isWaiting = false, networkId } = endpoint;
  const bound = isBound(container, endpoint);
  // Those of Docker, which give no names, are always there.
  const namesAny =
    network === undefined || (network.name !== defaultBridge && network.ipam.config.length > 0);
  const isNamed = namesAny && networkId !== "" && (bound || isWaiting);
  return {
    networkId: bound ? networkId : askedNetworkId,
    dnsNames: isNamed ? dnsNamesOf({ container, endpoint }) : [],
  };
}

function viewPorts(container: ContainerNetworks): PortBindings[] {
  const byPort = Map.groupBy(container.published, (port) => formatContainerPort(port.container));
  const names = new Set([...container.exposed, ...byPort.keys()]);
  return [...names].map((port) => ({
    port,
    bindings: (byPort.get(port) ?? []).map(({ hostIp, hostPort }) => ({
      hostIp,
      hostPort: hostPort === undefined ? "" : String(hostPort),
    })),
  }));
}
