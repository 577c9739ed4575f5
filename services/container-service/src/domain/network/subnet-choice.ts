/** Choosing a subnet for a network that names none. */
import { invalidArgument } from "@gantry/errors";
import { familyBits, overlaps, parseSubnet, type Subnet, subnetSize } from "./address.ts";

/** A range that subnets of one size are cut from (daemon.json `default-address-pools`). */
export interface SubnetPool {
  /** CIDR. */
  readonly base: string;
  /** Prefix length of each subnet. */
  readonly size: number;
}

/** Docker's text when nothing is left. */
const exhausted = "all predefined address pools have been fully subnetted";

/**
 * The first subnet of the pools that overlaps none of `taken` (other networks, and what the host's links
 * and routes use). Errors: invalid_argument when there is none.
 */
export function chooseSubnet(pools: readonly SubnetPool[], taken: readonly Subnet[]): Subnet {
  for (const pool of pools) {
    const base = parseSubnet(pool.base);
    if (base?.family !== 4) continue;
    const found = firstFree(base, pool.size, taken);
    if (found !== undefined) return found;
  }
  throw invalidArgument(exhausted);
}

function firstFree(
  base: Subnet,
  prefixLength: number,
  taken: readonly Subnet[],
): Subnet | undefined {
  const step = 1n << BigInt(familyBits(base.family) - prefixLength);
  const end = base.base + subnetSize(base);
  for (let start = base.base; start < end; ) {
    const candidate: Subnet = { family: base.family, base: start, prefixLength };
    const obstacle = taken.find((subnet) => overlaps(subnet, candidate));
    if (obstacle === undefined) return candidate;
    const after = obstacle.base + subnetSize(obstacle);
    start = after > start + step ? roundUp(after, step) : start + step;
  }
  return undefined;
}

function roundUp(value: bigint, step: bigint): bigint {
  return ((value + step - 1n) / step) * step;
}

/**
 * A /64 out of a unique local prefix (RFC 4193) for a network with IPv6 that names no subnet: 40 bits of
 * `seed` (the engine's identity) and a number.
 */
export function chooseUniqueLocalSubnet(seed: bigint, taken: readonly Subnet[]): Subnet {
  const prefix = (0xfdn << 120n) | ((seed & 0xff_ffff_ffffn) << 80n);
  for (let number = 0n; number < 65_536n; number++) {
    const candidate: Subnet = { family: 6, base: prefix | (number << 64n), prefixLength: 64 };
    if (!taken.some((subnet) => overlaps(subnet, candidate))) return candidate;
  }
  throw invalidArgument(exhausted);
}
