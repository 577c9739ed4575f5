/** The bridges that must be there, from the records. */
import { parseSubnet } from "../../domain/network/address.ts";
import {
  type GatewayMode,
  isIsolated,
  parseBridgeOptions,
} from "../../domain/network/bridge-options.ts";
import type { NetworkRecord } from "../../domain/network/records.ts";
import type { BridgeRules } from "../../domain/network/ruleset.ts";
import type { BridgeSpec } from "../../ports/network-host.ts";
import type { NetworkRegistry } from "./registry.ts";

/** Networks with a bridge of ours. */
export function bridgeNetworks(registry: NetworkRegistry): NetworkRecord[] {
  return registry
    .reservedNetworks()
    .filter((network) => network.driver === "bridge" && !network.configOnly);
}

/** The link that was made for a network and goes with it, or empty. */
export function ownLink(network: NetworkRecord): string {
  if (network.configOnly || network.isFoundBridge === true) return "";
  return network.driver === "bridge" ? network.link : (network.madeParent?.name ?? "");
}

/** The bridge of a network as it must be. */
export function bridgeSpec(network: NetworkRecord): BridgeSpec {
  const { mtu, inhibitIpv4 } = parseBridgeOptions(network.options);
  const has4 = !inhibitIpv4 && !isIsolated(network.options, "ipv4");
  const has6 = !isIsolated(network.options, "ipv6");
  return {
    name: network.link,
    addresses: network.ipam.config.flatMap(({ subnet, gateway }) =>
      gateway !== "" && (gateway.includes(":") ? has6 : has4)
        ? [`${gateway}/${subnet.replace(/^.*\//, "")}`]
        : [],
    ),
    mtu,
    ipv6: network.enableIpv6,
    isFound: network.isFoundBridge === true,
  };
}

/** Rules for all bridges. */
export function bridgeRules(registry: NetworkRegistry): BridgeRules[] {
  return bridgeNetworks(registry).map((network) => {
    const options = parseBridgeOptions(network.options);
    return {
      link: network.link,
      subnets: network.ipam.config.flatMap(({ subnet }) => parseSubnet(subnet) ?? []),
      internal: network.internal,
      masquerade: options.masquerade,
      sources: options.sources,
      interContainer: options.interContainer,
      trusted: options.trusted,
      direct: { 4: directOf(options.gatewayModes[4]), 6: directOf(options.gatewayModes[6]) },
    };
  });
}

function directOf(mode: GatewayMode): "published" | "everything" | undefined {
  switch (mode) {
    case "routed":
      return "published";
    case "nat-unprotected":
      return "everything";
    case "nat":
    case "isolated":
      return undefined;
  }
}
