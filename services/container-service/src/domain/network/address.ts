/** IP addresses and subnets as numbers. Text forms are parsed once, at the edge. */
import { isIP } from "node:net";

export type Family = 4 | 6;

/** An address: its family and its value (32 or 128 bits). */
export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

/** A subnet: `base` has no bits beyond the prefix. */
export interface Subnet {
  readonly family: Family;
  readonly base: bigint;
  readonly prefixLength: number;
}

/** An address with the prefix length of its subnet: `172.17.0.1/16`. */
export interface InterfaceAddress {
  readonly address: Address;
  readonly subnet: Subnet;
}

/** Bits of an address of the family. */
export function familyBits(family: Family): number {
  return family === 4 ? 32 : 128;
}

/** Undefined when the text is not an address. Zones (`%eth0`) and mapped IPv4 are not addresses here. */
export function parseAddress(text: string): Address | undefined {
  switch (isIP(text)) {
    case 4:
      return { family: 4, value: valueOfIpv4(text) };
    case 6:
      return text.includes("%") ? undefined : { family: 6, value: valueOfIpv6(text) };
    default:
      return undefined;
  }
}

function valueOfIpv4(text: string): bigint {
  return text.split(".").reduce((sum, part) => sum * 256n + BigInt(part), 0n);
}

function valueOfIpv6(text: string): bigint {
  const [head = "", tail] = text.split("::");
  const front = ipv6Groups(head);
  const back = tail === undefined ? [] : ipv6Groups(tail);
  const zeros = new Array<bigint>(8 - front.length - back.length).fill(0n);
  return [...front, ...zeros, ...back].reduce((sum, group) => sum * 65_536n + group, 0n);
}

function ipv6Groups(text: string): bigint[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (!group.includes(".")) return [BigInt(`0x${group}`)];
    const value = valueOfIpv4(group);
    return [value >> 16n, value & 0xffffn];
  });
}

/** Canonical text: dotted, or RFC 5952. */
export function formatAddress(address: Address): string {
  return address.family === 4 ? formatIpv4(address.value) : formatIpv6(address.value);
}

function formatIpv4(value: bigint): string {
  const number = Number(value);
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join(".");
}

function formatIpv6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, i) =>
    Number((value >> BigInt(112 - 16 * i)) & 0xffffn),
  );
  const [start, length] = longestZeroRun(groups);
  const hex = (part: readonly number[]): string =>
    part.map((group) => group.toString(16)).join(":");
  if (length < 2) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

function longestZeroRun(groups: readonly number[]): [start: number, length: number] {
  let best: [number, number] = [0, 0];
  let start = 0;
  for (const [index, group] of groups.entries()) {
    if (group !== 0) start = index + 1;
    else if (index + 1 - start > best[1]) best = [start, index + 1 - start];
  }
  return best;
}

/** `172.17.0.1/16`: an address inside a subnet; undefined when malformed. */
export function parseInterfaceAddress(text: string): InterfaceAddress | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const address = parseAddress(text.slice(0, slash));
  const prefix = text.slice(slash + 1);
  if (address === undefined || !/^\d{1,3}$/.test(prefix)) return undefined;
  const prefixLength = Number(prefix);
  if (prefixLength > familyBits(address.family)) return undefined;
  return { address, subnet: subnetOf(address, prefixLength) };
}

/** The subnet with that prefix length that the address lies in. */
function subnetOf(address: Address, prefixLength: number): Subnet {
  const hostBits = BigInt(familyBits(address.family) - prefixLength);
  return { family: address.family, base: (address.value >> hostBits) << hostBits, prefixLength };
}

/** A CIDR; bits beyond the prefix are dropped. Undefined when malformed. */
export function parseSubnet(text: string): Subnet | undefined {
  return parseInterfaceAddress(text)?.subnet;
}

export function formatSubnet(subnet: Subnet): string {
  return `${formatAddress({ family: subnet.family, value: subnet.base })}/${subnet.prefixLength}`;
}

/** Number of addresses. */
export function subnetSize(subnet: Subnet): bigint {
  return 1n << BigInt(familyBits(subnet.family) - subnet.prefixLength);
}

/** The highest address. */
export function lastOf(subnet: Subnet): bigint {
  return subnet.base + subnetSize(subnet) - 1n;
}

export function containsAddress(subnet: Subnet, address: Address): boolean {
  return (
    subnet.family === address.family &&
    address.value >= subnet.base &&
    address.value <= lastOf(subnet)
  );
}

function containsSubnet(outer: Subnet, inner: Subnet): boolean {
  return (
    outer.family === inner.family &&
    outer.prefixLength <= inner.prefixLength &&
    inner.base >= outer.base &&
    inner.base <= lastOf(outer)
  );
}

export function overlaps(one: Subnet, other: Subnet): boolean {
  return containsSubnet(one, other) || containsSubnet(other, one);
}

/** Network and broadcast address (IPv4), and the subnet-router anycast address (IPv6). */
export function reservedValues(subnet: Subnet): bigint[] {
  const size = subnetSize(subnet);
  if (size <= 2n) return [];
  return subnet.family === 4 ? [subnet.base, lastOf(subnet)] : [subnet.base];
}

/** 169.254.0.0/16 and fe80::/10. */
export function isLinkLocal({ family, value }: Address): boolean {
  return family === 4 ? value >> 16n === 0xa9fen : value >> 118n === 0x3fan;
}
