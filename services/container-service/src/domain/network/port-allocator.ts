/** Which host ports our containers hold, and which ephemeral one is next. */
import { internal } from "@gantry/errors";
import { type Address, formatAddress } from "./address.ts";
import type { PortRange } from "./port-spec.ts";
import type { Protocol } from "./ruleset.ts";

/** Ports that the kernel uses for outgoing connections when it does not say. */
export const fallbackEphemeralRange: PortRange = { first: 49_153, last: 65_535 };

/** A host port that is held. */
export interface HeldPort {
  readonly protocol: Protocol;
  readonly address: Address;
  readonly port: number;
}

/** `0.0.0.0:80`, `[::]:80`. */
export function formatHostPort(address: Address, port: number): string {
  const text = formatAddress(address);
  return address.family === 6 ? `[${text}]:${port}` : `${text}:${port}`;
}

/** Host ports of one host. An unspecified address (0.0.0.0, ::) collides with every address of its family. */
export class PortAllocator {
  readonly #ephemeral: PortRange;
  readonly #reserved: ReadonlySet<number>;
  /** Addresses by `<family>/<protocol>/<port>`. */
  readonly #held = new Map<string, Set<bigint>>();
  /** The port of a range that is tried first, by protocol, address and range. */
  readonly #next = new Map<string, number>();

  /** `reserved`: ports that the kernel keeps out of its range (ip_local_reserved_ports). */
  constructor(ephemeral: PortRange, reserved: ReadonlySet<number> = new Set()) {
    this.#ephemeral = ephemeral;
    this.#reserved = reserved;
  }

  /** Ports to try for a wish, in order: those of the range, or all ephemeral ones, after the last one given there. */
  *candidates(
    protocol: Protocol,
    [address]: readonly Address[],
    wish: PortRange | undefined,
  ): Generator<number> {
    const range = wish ?? this.#ephemeral;
    const size = range.last - range.first + 1;
    const turn = address === undefined ? undefined : turnKey(protocol, address, range);
    const start = (turn === undefined ? undefined : this.#next.get(turn)) ?? range.first;
    for (let i = 0; i < size; i++) {
      const port = range.first + ((start - range.first + i) % size);
      if (wish === undefined && this.#reserved.has(port)) continue;
      yield port;
    }
  }

  /** The address by which a port is held that would collide; undefined when there is none. */
  holder(protocol: Protocol, address: Address, port: number): Address | undefined {
    const held = this.#held.get(key(protocol, address, port)) ?? new Set();
    const values = address.value === 0n ? [...held] : [address.value, 0n];
    const value = values.find((each) => held.has(each));
    return value === undefined ? undefined : { family: address.family, value };
  }

  isFree(protocol: Protocol, address: Address, port: number): boolean {
    return this.holder(protocol, address, port) === undefined;
  }

  /** Takes a port on several addresses, for a wish. Errors: internal with Docker's text when one is taken. */
  hold(
    protocol: Protocol,
    addresses: readonly Address[],
    port: number,
    wish: PortRange | undefined,
  ): void {
    this.checkFree(protocol, addresses, port);
    const range = wish ?? this.#ephemeral;
    const next = port >= range.last ? range.first : port + 1;
    for (const address of addresses) {
      this.adopt({ protocol, address, port });
      if (range.first !== range.last) this.#next.set(turnKey(protocol, address, range), next);
    }
  }

  /** Errors: internal with Docker's text, which names the address that is held. */
  checkFree(protocol: Protocol, addresses: readonly Address[], port: number): void {
    for (const address of addresses) {
      const holder = this.holder(protocol, address, port);
      if (holder !== undefined) {
        const where = `${formatAddress(holder)}:${port}`;
        throw internal(`Bind for ${where} failed: port is already allocated`);
      }
    }
  }

  /** Takes a port found in use after a restart. */
  adopt(held: HeldPort): void {
    const name = key(held.protocol, held.address, held.port);
    const addresses = this.#held.get(name) ?? new Set();
    this.#held.set(name, addresses.add(held.address.value));
  }

  giveBack(held: HeldPort): void {
    const name = key(held.protocol, held.address, held.port);
    const addresses = this.#held.get(name);
    addresses?.delete(held.address.value);
    if (addresses?.size === 0) this.#held.delete(name);
  }
}

function key(protocol: Protocol, address: Address, port: number): string {
  return `${address.family}/${protocol}/${port}`;
}

function turnKey(protocol: Protocol, address: Address, { first, last }: PortRange): string {
  return `${protocol}/${formatAddress(address)}/${first}-${last}`;
}
