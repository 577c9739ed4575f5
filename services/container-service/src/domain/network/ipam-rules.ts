/** What a user may ask of a network's address management. Texts are Docker's. */
import { internal, invalidArgument } from "@gantry/errors";
import {
  type Address,
  containsAddress,
  formatAddress,
  formatSubnet,
  overlaps,
  parseAddress,
  parseInterfaceAddress,
  parseSubnet,
  reservedValues,
  type Subnet,
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
    return [`${prefix}parent subnet is an IPv${subnet.family} block`];
  }
  const problems: string[] = [];
  if (parsed.subnet.prefixLength < subnet.prefixLength) {
    problems.push(`${prefix}CIDR block is bigger than its parent subnet ${formatSubnet(subnet)}`);
  }
  if (parsed.address.value !== parsed.subnet.base) {
    problems.push(`${prefix}it should be ${formatSubnet(parsed.subnet)}`);
  }
  if (!overlaps(subnet, parsed.subnet)) {
    problems.push(`${prefix}parent subnet ${formatSubnet(subnet)} doesn't contain ip-range`);
  }
  return problems;
}

function addressProblem(text: string, subnet: Subnet): string {
  if (text === "") return "";
  const address = parseAddress(text);
  if (address === undefined) return "invalid address";
  if (address.family !== subnet.family) return `parent subnet is an IPv${subnet.family} block`;
  return containsAddress(subnet, address)
    ? ""
    : `parent subnet ${formatSubnet(subnet)} doesn't contain this address`;
}

/**
 * A checked subnet in canonical form, with a gateway: the first address of the range that is free unless
 * one is named. Errors: internal (an address is taken by another use of it, or there is none for the gateway).
 */
export function completeSubnet(config: SubnetRecord): SubnetRecord {
  const subnet = parseSubnet(config.subnet);
  if (subnet === undefined) throw invalidArgument(`invalid subnet ${config.subnet}`);
  const range = config.ipRange === "" ? undefined : parseSubnet(config.ipRange);
  const named = parseAddress(config.gateway);
  const taken = new Set(reservedValues(subnet));
  if (named === undefined && subnet.family === 6 && subnet.prefixLength === 128) {
    throw internal("failed to allocate gateway (): no available addresses on this pool");
  }
  if (named !== undefined && taken.has(named.value)) {
    throw internal(`failed to allocate gateway (${formatAddress(named)}): Address already in use`);
  }
  const gateway = named ?? firstFree(range ?? subnet, taken);
  taken.add(gateway.value);
  takeAuxiliary(config.auxiliaryAddresses, taken);
  return {
    subnet: formatSubnet(subnet),
    ipRange: range === undefined ? "" : formatSubnet(range),
    gateway: formatAddress(gateway),
    auxiliaryAddresses: config.auxiliaryAddresses,
  };
}

function takeAuxiliary(addresses: Readonly<Record<string, string>>, taken: Set<bigint>): void {
  for (const [name, text] of Object.entries(addresses)) {
    const value = parseAddress(text)?.value;
    if (value === undefined) continue;
    if (taken.has(value)) {
      throw internal(
        `failed to allocate secondary ip address (${name}:${text}): Address already in use`,
      );
    }
    taken.add(value);
  }
}

function firstFree(range: Subnet, taken: ReadonlySet<bigint>): Address {
  let value = range.base;
  while (taken.has(value)) value++;
  return { family: range.family, value };
}
