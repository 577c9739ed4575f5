/** EndpointSettings and NetworkSettings → Docker's JSON. */
import type { NetworkSettings } from "@gantry/proto/container";
import type { EndpointSettings } from "@gantry/proto/network";
import { encodePortMap } from "./host-config.ts";
import { type JsonOut, nullIfEmpty, sorted, unlessEmpty } from "./json.ts";
import { opened } from "./version-gates.ts";

/** One endpoint. `ownNames` are the container's short ID and host name, which Aliases held in old versions. */
function encodeEndpoint(
  endpoint: EndpointSettings,
  version: number,
  ownNames: readonly string[] = [],
): JsonOut {
  const isBare = Object.keys(endpoint.driverOpts).length === 0;
  const old = opened("noShortIdAlias", version) ? [] : ownNames;
  const names = [...new Set([...endpoint.aliases, ...old])];
  return {
    IPAMConfig: endpoint.ipamConfig
      ? {
          IPv4Address: unlessEmpty(endpoint.ipamConfig.ipv4Address),
          IPv6Address: unlessEmpty(endpoint.ipamConfig.ipv6Address),
          LinkLocalIPs:
            endpoint.ipamConfig.linkLocalIps.length === 0
              ? undefined
              : endpoint.ipamConfig.linkLocalIps,
        }
      : null,
    Links: endpoint.hasLinks ? endpoint.links : nullIfEmpty(endpoint.links),
    Aliases: endpoint.hasAliases ? names : nullIfEmpty(names),
    MacAddress: endpoint.macAddress,
    DriverOpts: isBare && !endpoint.hasDriverOpts ? null : sorted(endpoint.driverOpts),
    GwPriority: endpoint.gwPriority,
    NetworkID: endpoint.networkId,
    EndpointID: endpoint.endpointId,
    Gateway: endpoint.gateway,
    IPAddress: endpoint.ipAddress,
    IPPrefixLen: endpoint.ipPrefixLen,
    IPv6Gateway: endpoint.ipv6Gateway,
    GlobalIPv6Address: endpoint.globalIpv6Address,
    GlobalIPv6PrefixLen: endpoint.globalIpv6PrefixLen,
    DNSNames: opened("dnsNames", version) ? nullIfEmpty(endpoint.dnsNames) : undefined,
  };
}

const predefined = new Set(["bridge", "host", "none"]);

/** Endpoints by network name. */
export function encodeEndpoints(
  endpoints: Readonly<Record<string, EndpointSettings>>,
  version: number,
  ownNames: readonly string[] = [],
): JsonOut {
  const entries = Object.entries(endpoints).map(([name, each]): [string, JsonOut] => [
    name,
    encodeEndpoint(each, version, predefined.has(name) ? [] : ownNames),
  ]);
  return sorted(Object.fromEntries(entries));
}

/** NetworkSettings of inspect. */
export function encodeNetworkSettings(
  settings: NetworkSettings | undefined,
  version: number,
  ownNames: readonly string[],
): JsonOut {
  const legacy = !opened("noLegacyNetworkSettings", version);
  const bridge = settings?.networks["bridge"];
  return {
    Bridge: legacy ? "" : undefined,
    SandboxID: settings?.sandboxId ?? "",
    SandboxKey: settings?.sandboxKey ?? "",
    Ports: encodePortMap(settings?.ports ?? [], true),
    ...(legacy && legacyFields(bridge)),
    Networks: encodeEndpoints(settings?.networks ?? {}, version, ownNames),
  };
}

/** What old clients read of the default bridge at the top level. */
function legacyFields(bridge: EndpointSettings | undefined): Record<string, JsonOut> {
  return {
    HairpinMode: false,
    LinkLocalIPv6Address: "",
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: bridge?.endpointId ?? "",
    Gateway: bridge?.gateway ?? "",
    GlobalIPv6Address: bridge?.globalIpv6Address ?? "",
    GlobalIPv6PrefixLen: bridge?.globalIpv6PrefixLen ?? 0,
    IPAddress: bridge?.ipAddress ?? "",
    IPPrefixLen: bridge?.ipPrefixLen ?? 0,
    IPv6Gateway: bridge?.ipv6Gateway ?? "",
    MacAddress: bridge?.macAddress ?? "",
  };
}
