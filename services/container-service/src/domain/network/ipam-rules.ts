/** What a user may ask of a network's address management. Texts are Docker's. */
import { invalidArgument } from "@gantry/errors";
import {
  type Address,
  containsAddress,
  containsSubnet,
  formatAddress,
  formatSubnet,
  parseAddress,
  parseInterfaceAddress,
  parseSubnet,
  type Subnet,
  subnetSize,
} from "./address.ts";
import type { SubnetRecord } from "./records.ts";

/** Every problem of the subnets asked for; empty when they are right. */
export function ipamProblems(config: readonly SubnetRecord[], enableIpv6: boolean): string[] {
  return config.flatMap((each) => subnetProblems(each, enableIpv6));
}

function subnetProblems(config: SubnetRecord, enableIpv6: boolean): string[] {
  const parsed = parseInterfaceAddress(config.subnet);
  if (parsed === undefined) return [`invalid subnet ${config.subnet}: invalid CIDR block notation`];
  const { subnet, address } = parsed;
  if (subnet.family === 6 && !enableIpv6) return [];
  const problems: string[] = [];
  if (address.value !== subnet.base) {
    problems.push(`invalid subnet ${config.subnet}: it should be ${formatSubnet(subnet)}`);
  }
  problems.push(...rangeProblems(config.ipRange, subnet));
  const gateway = addressProblem(config.gateway, subnet);
  if (gateway !== "") problems.push(`invalid gateway ${config.gateway}: ${gateway}`);
  for (const [name, text] of Object.entries(config.auxiliaryAddresses)) {
    const problem = addressProblem(text, subnet);
    if (problem !== "") problems.push(`invalid auxiliary address ${name}: ${problem}`);
  }
  return problems;
}

function rangeProblems(text: string, subnet: Subnet): string[] {
  if (text === "") return [];
  const parsed = parseInterfaceAddress(text);
  const prefix = `invalid ip-range ${text}: `;
  if (parsed === undefined) return [`${prefix}invalid CIDR block notation`];
  if (parsed.subnet.family !== subnet.family) {
    return [`${prefix}parent subnet is an IPv${subnet.family} subnet`];
  }
  if (parsed.address.value !== parsed.subnet.base) {
    return [`${prefix}it should be ${formatSubnet(parsed.subnet)}`];
  }
  if (!containsSubnet(subnet, parsed.subnet)) {
    return [`${prefix}parent subnet ${formatSubnet(subnet)} doesn't contain ip-range`];
  }
  return [];
}

function addressProblem(text: string, subnet: Subnet): string {
  if (text === "") return "";
  // A gateway may be written with the prefix length of its subnet.
  const address = parseAddress(text) ?? parseInterfaceAddress(text)?.address;
  if (address === undefined) return "invalid address";
  if (address.family !== subnet.family) return `parent subnet is an IPv${subnet.family} subnet`;
  return containsAddress(subnet, address)
    ? ""
    : `parent subnet ${formatSubnet(subnet)} doesn't contain this address`;
}

/** A checked subnet in canonical form, with a gateway: the first address unless one is named. */
export function completeSubnet(config: SubnetRecord): SubnetRecord {
  const subnet = parseSubnet(config.subnet);
  if (subnet === undefined) throw invalidArgument(`invalid subnet ${config.subnet}`);
  const range = config.ipRange === "" ? undefined : parseSubnet(config.ipRange);
  const named = parseAddress(config.gateway) ?? parseInterfaceAddress(config.gateway)?.address;
  return {
    subnet: formatSubnet(subnet),
    ipRange: range === undefined ? "" : formatSubnet(range),
    gateway: formatAddress(named ?? firstHost(subnet, config.auxiliaryAddresses)),
    auxiliaryAddresses: config.auxiliaryAddresses,
  };
}

function firstHost(subnet: Subnet, taken: Readonly<Record<string, string>>): Address {
  if (subnetSize(subnet) < 4n) {
    throw invalidArgument(
      `invalid subnet ${formatSubnet(subnet)}: no room for a gateway and a container`,
    );
  }
  const used = new Set(Object.values(taken).map((text) => parseAddress(text)?.value));
  let value = subnet.base + 1n;
  while (used.has(value)) value++;
  return { family: subnet.family, value };
}
