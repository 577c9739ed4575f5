/** How a bridge comes to the addresses of its network. */
import { formatSubnet, parseInterfaceAddress } from "./address.ts";

/** What a bridge is to have, see BridgeSpec. */
export interface WantedAddresses {
  readonly addresses: readonly string[];
  readonly ipv6: boolean;
  readonly isFound: boolean;
}

export interface AddressChanges {
  readonly remove: readonly string[];
  readonly add: readonly string[];
}

/**
 * What is to be changed on a bridge that has these addresses (with prefix length). One of ours has those that are
 * wanted and no other. Of one that was found, a family that is not wanted stays as it is; the one IPv4 address that
 * is wanted takes the place of one, that of its own subnet or the first; IPv6 addresses are all replaced.
 */
export function addressChanges(wanted: WantedAddresses, has: readonly string[]): AddressChanges {
  // Those of IPv6 went when it was switched off.
  const left = wanted.ipv6 ? has : has.filter((cidr) => !isIpv6(cidr));
  const add = wanted.addresses.filter((cidr) => !has.includes(cidr));
  const others = left.filter((cidr) => !wanted.addresses.includes(cidr));
  if (!wanted.isFound) return { remove: others, add };
  const replaced = add.filter((cidr) => !isIpv6(cidr)).flatMap((cidr) => inPlaceOf(cidr, others));
  const has6 = wanted.addresses.some(isIpv6);
  return { remove: [...replaced, ...(has6 ? others.filter(isIpv6) : [])], add };
}

function inPlaceOf(wanted: string, others: readonly string[]): string[] {
  const ipv4 = others.filter((cidr) => !isIpv6(cidr));
  const subnet = subnetOf(wanted);
  return [ipv4.find((cidr) => subnetOf(cidr) === subnet) ?? ipv4[0] ?? []].flat();
}

function subnetOf(cidr: string): string {
  const found = parseInterfaceAddress(cidr);
  return found === undefined ? "" : formatSubnet(found.subnet);
}

function isIpv6(cidr: string): boolean {
  return cidr.includes(":");
}
