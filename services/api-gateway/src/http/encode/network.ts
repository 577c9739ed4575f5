/** Networks → Docker's JSON. */
import type { Network, SubnetStatus } from "@gantry/proto/network";
import { type JsonOut, nullIfEmpty, sorted } from "./json.ts";
import { rfc3339 } from "./time.ts";
import { opened } from "./version-gates.ts";

/** One row of GET /networks: without endpoints. */
export function encodeNetworkSummary(network: Network, version: number): JsonOut {
  return {
    Name: network.name,
    Id: network.id,
    Created: rfc3339(network.createdNano),
    Scope: network.scope,
    Driver: network.driver,
    EnableIPv4: network.enableIpv4,
    EnableIPv6: network.enableIpv6,
    IPAM: encodeIpam(network),
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: network.ingress,
    ConfigFrom: { Network: network.configFrom },
    ConfigOnly: network.configOnly,
    Containers: opened("networkStatus", version) ? undefined : {},
    Options: sorted(network.options),
    Labels: sorted(network.labels),
  };
}

/** The answer of GET /networks/{id}. */
export function encodeNetwork(network: Network, version: number): JsonOut {
  const containers = Object.entries(network.containers).map(([id, each]): [string, JsonOut] => [
    id,
    {
      Name: each.name,
      EndpointID: each.endpointId,
      MacAddress: each.macAddress,
      IPv4Address: each.ipv4Address,
      IPv6Address: each.ipv6Address,
    },
  ]);
  return {
    ...(encodeNetworkSummary(network, version) as Record<string, JsonOut>),
    Containers: sorted(Object.fromEntries(containers)),
    Options: sorted(network.options),
    Labels: sorted(network.labels),
    Status: opened("networkStatus", version) ? encodeStatus(network.subnets) : undefined,
  };
}

function encodeIpam({ ipam }: Network): JsonOut {
  const options = ipam?.options ?? {};
  return {
    Driver: ipam?.driver ?? "default",
    Options:
      Object.keys(options).length === 0 && ipam?.hasOptions !== true ? null : sorted(options),
    Config: nullIfEmpty(
      (ipam?.config ?? []).map((each) => ({
        Subnet: each.subnet,
        IPRange: each.ipRange === "" ? undefined : each.ipRange,
        Gateway: each.gateway === "" ? undefined : each.gateway,
        AuxiliaryAddresses:
          Object.keys(each.auxiliaryAddresses).length === 0
            ? undefined
            : sorted(each.auxiliaryAddresses),
      })),
    ),
  };
}

function encodeStatus(subnets: Readonly<Record<string, SubnetStatus>>): JsonOut {
  const entries = Object.entries(subnets).map(([cidr, each]): [string, JsonOut] => [
    cidr,
    { IPsInUse: each.ipsInUse, DynamicIPsAvailable: each.dynamicIpsAvailable },
  ]);
  return { IPAM: { Subnets: sorted(Object.fromEntries(entries)) } };
}
