/** Which addresses of one subnet are taken, and which one is next. */
import { invalidArgument, permissionDenied } from "@gantry/errors";
import {
  type Address,
  containsAddress,
  formatAddress,
  lastOf,
  reservedValues,
  type Subnet,
  subnetSize,
} from "./address.ts";

/** What a pool is made of. */
export interface AddressPoolOptions {
  readonly subnet: Subnet;
  /** Where dynamic addresses come from; default the whole subnet. */
  readonly range?: Subnet | undefined;
  /** Never given: gateway and auxiliary addresses. */
  readonly reserved: readonly Address[];
}

/** How full a pool is, as network inspect shows it. */
export interface PoolUse {
  /** Taken addresses, with network, broadcast and reserved ones. */
  readonly inUse: bigint;
  /** Left for dynamic use. */
  readonly available: bigint;
}

/**
 * Addresses of a subnet. A dynamic one is the lowest that is free, as dockerd gives them: who restarts a container
 * finds it where it was. Neighbours that remember another MAC address for it are told (arp_notify).
 */
export class AddressPool {
  readonly subnet: Subnet;
  readonly #range: Subnet;
  readonly #taken = new Set<bigint>();
  /** No dynamic address below it is free. */
  #lowest: bigint;

  constructor(options: AddressPoolOptions) {
    this.subnet = options.subnet;
    this.#range = options.range ?? options.subnet;
    this.#lowest = this.#range.base;
    for (const value of reservedValues(options.subnet)) this.#taken.add(value);
    for (const address of options.reserved) {
      if (containsAddress(this.subnet, address)) this.#taken.add(address.value);
    }
  }

  /** Takes the lowest free address; undefined when there is none. */
  take(): Address | undefined {
    const last = lastOf(this.#range);
    while (this.#lowest <= last && this.#taken.has(this.#lowest)) this.#lowest++;
    if (this.#lowest > last) return undefined;
    this.#taken.add(this.#lowest);
    return { family: this.subnet.family, value: this.#lowest };
  }

  /** Takes that very address. Errors: permission_denied when taken, invalid_argument when outside. */
  takeThis(address: Address): void {
    if (!containsAddress(this.subnet, address)) {
      throw invalidArgument("Requested address is not within the subnet");
    }
    if (this.#taken.has(address.value)) throw permissionDenied("Address already in use");
    this.#taken.add(address.value);
  }

  /** Takes an address found in use after a restart; no error when it is taken. */
  adopt(address: Address): void {
    if (containsAddress(this.subnet, address)) this.#taken.add(address.value);
  }

  /** Gives an address back. */
  giveBack(address: Address): void {
    if (!containsAddress(this.subnet, address)) return;
    this.#taken.delete(address.value);
    if (address.value < this.#lowest && address.value >= this.#range.base)
      this.#lowest = address.value;
  }

  has(address: Address): boolean {
    return this.#taken.has(address.value);
  }

  use(): PoolUse {
    const range = this.#range;
    let takenInRange = 0n;
    for (const value of this.#taken) {
      if (value >= range.base && value <= lastOf(range)) takenInRange++;
    }
    return { inUse: BigInt(this.#taken.size), available: subnetSize(range) - takenInRange };
  }

  contains(address: Address): boolean {
    return containsAddress(this.subnet, address);
  }

  /** `172.17.0.2/16`. */
  format(address: Address): string {
    return `${formatAddress(address)}/${this.subnet.prefixLength}`;
  }
}
