/** The subnets of a network that is made: those asked for, those chosen for it, and who is their gateway. */
import { invalidArgument, permissionDenied } from "@gantry/errors";
import { formatSubnet, overlaps, parseSubnet, type Subnet } from "../../domain/network/address.ts";
import { isIsolated, parseBridgeOptions } from "../../domain/network/bridge-options.ts";
import { completeSubnet } from "../../domain/network/ipam-rules.ts";
import { isRoutedByParent } from "../../domain/network/parent-link.ts";
import type {
  IpamRecord,
  NetworkDriver,
  NetworkRecord,
  SubnetRecord,
} from "../../domain/network/records.ts";
import { chooseSubnet, chooseUniqueLocalSubnet } from "../../domain/network/subnet-choice.ts";
import type { NetworkContext } from "./context.ts";
import type { NewNetwork } from "./new-network.ts";

/** @param used subnets of the host's other links. Errors: permission_denied (overlap), invalid_argument (no subnet is free). */
export function subnetsOf(
  context: NetworkContext,
  request: NewNetwork,
  driver: NetworkDriver,
  used: readonly string[],
): SubnetRecord[] {
  const ours = context.registry
    .reservedNetworks()
    .flatMap((network) => (network.configOnly ? [] : network.ipam.config))
    .flatMap((config) => parseSubnet(config.subnet) ?? []);
  const taken: Subnet[] = [...ours, ...used.flatMap((text) => parseSubnet(text) ?? [])];
  const config = request.ipam.config
    .map((each) => ({
      ...completeSubnet(each),
      ...(each.gateway === "" ? { isGatewayChosen: true } : {}),
    }))
    .filter((each) => isEnabled(each, request));
  for (const [index, each] of config.entries()) checkOverlap(each, ours, config.slice(0, index));
  if (request.enableIpv4 && !config.some((each) => !each.subnet.includes(":"))) {
    const subnet = chooseSubnet(context.options.defaultAddressPools, taken);
    config.push({ ...completeSubnet(plainSubnet(subnet)), isChosen: true });
  }
  if (request.enableIpv6 && !config.some((each) => each.subnet.includes(":"))) {
    const subnet = chooseUniqueLocalSubnet(context.options.uniqueLocalSeed, taken);
    config.push({ ...completeSubnet(plainSubnet(subnet)), isChosen: true });
  }
  return config.map((each) => {
    const isOurs = each.isChosen === true || each.isGatewayChosen === true;
    return isOurs && !needsGateway(each, request, driver) ? { ...each, gateway: "" } : each;
  });
}

/**
 * Nobody is the way out where a bridge has no address and nothing leads to it, of an internal network without a
 * bridge, or where the parent itself routes.
 */
function needsGateway(config: SubnetRecord, request: NewNetwork, driver: NetworkDriver): boolean {
  if (driver !== "bridge") return !(request.internal || isRoutedByParent(driver, request));
  const { options, internal } = request;
  if (config.subnet.includes(":")) return !isIsolated(options, "ipv6");
  return !(isIsolated(options, "ipv4") || (internal && parseBridgeOptions(options).inhibitIpv4));
}

/** Subnets of a family that the network is without. */
export function unusedOf(request: NewNetwork): Pick<IpamRecord, "unused"> {
  const unused = request.ipam.config.filter((each) => !isEnabled(each, request));
  return unused.length === 0 ? {} : { unused };
}

function isEnabled(config: SubnetRecord, request: NewNetwork): boolean {
  return config.subnet.includes(":") ? request.enableIpv6 : request.enableIpv4;
}

/** A subnet with nothing else asked for. */
export function plainSubnet(subnet: Subnet): SubnetRecord {
  return { subnet: formatSubnet(subnet), ipRange: "", gateway: "", auxiliaryAddresses: {} };
}

function checkOverlap(
  config: SubnetRecord,
  ours: readonly Subnet[],
  earlier: readonly SubnetRecord[],
): void {
  const subnet = parseSubnet(config.subnet);
  const others = [...ours, ...earlier.flatMap((each) => parseSubnet(each.subnet) ?? [])];
  if (subnet !== undefined && others.some((other) => overlaps(other, subnet))) {
    throw permissionDenied(
      "invalid pool request: Pool overlaps with other one on this address space",
    );
  }
}

/** A bridge has one subnet of each family, and is in no group of hosts. Errors: permission_denied, invalid_argument. */
export function checkBridgeSubnets({ ipam, configOnly }: NetworkRecord): void {
  const subnets4 = ipam.config.filter(({ subnet }) => !subnet.includes(":"));
  const subnets6 = ipam.config.filter(({ subnet }) => subnet.includes(":"));
  if (subnets4.length > 1) {
    throw permissionDenied("bridge driver doesn't support multiple subnets");
  }
  if (subnets6.length > 1) {
    throw permissionDenied("bridge driver doesn't support multiple IPv6 subnets");
  }
  const multicast = configOnly ? undefined : subnets6.find(({ subnet }) => subnet.startsWith("ff"));
  if (multicast !== undefined) {
    const length = multicast.subnet.replace(/^.*\//, "");
    throw invalidArgument(`multicast subnet '${multicast.gateway}/${length}' is not allowed`);
  }
}
