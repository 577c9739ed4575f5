/** All networks and endpoints, in memory. Changes are made here first and then handed to the database. */
import { internal, invalidArgument, notFound, permissionDenied } from "@gantry/errors";
import {
  type Address,
  parseAddress,
  parseInterfaceAddress,
  parseSubnet,
} from "../../domain/network/address.ts";
import { AddressPool } from "../../domain/network/address-pool.ts";
import type {
  ContainerNetworks,
  EndpointRecord,
  LiveEndpoint,
  NetworkRecord,
} from "../../domain/network/records.ts";
import type { DocumentChange } from "../../ports/metadata.ts";

/** A container's endpoint in a network. */
export interface Member {
  readonly container: ContainerNetworks;
  readonly endpoint: EndpointRecord;
}

type AmbiguityText = (reference: string, matches: number) => string;

const ambiguityText: AmbiguityText = (reference, matches) =>
  `network ${reference} is ambiguous (${matches} matches found based on ID prefix)`;

export class NetworkRegistry {
  readonly #networks = new Map<string, NetworkRecord>();
  /** Those that are being made: what they take is taken, but nobody finds them. */
  readonly #making = new Map<string, NetworkRecord>();
  readonly #pools = new Map<string, readonly AddressPool[]>();
  readonly #containers = new Map<string, ContainerNetworks>();
  /** Endpoints that running containers are getting. */
  readonly #coming = new Set<Member>();

  networks(): readonly NetworkRecord[] {
    return [...this.#networks.values()];
  }

  /** Those that are being made, too: who has which name, subnet and link. */
  reservedNetworks(): readonly NetworkRecord[] {
    return [...this.#networks.values(), ...this.#making.values()];
  }

  containers(): readonly ContainerNetworks[] {
    return [...this.#containers.values()];
  }

  container(id: string): ContainerNetworks | undefined {
    return this.#containers.get(id);
  }

  network(id: string): NetworkRecord | undefined {
    return this.#networks.get(id);
  }

  byName(name: string): NetworkRecord | undefined {
    for (const network of this.#networks.values()) if (network.name === name) return network;
    return undefined;
  }

  /** By full ID, name, or unique ID prefix. Errors: not_found, invalid_argument (ambiguous). */
  find(reference: string, tellAmbiguity: AmbiguityText = ambiguityText): NetworkRecord {
    const exact = this.#networks.get(reference) ?? this.byName(reference);
    if (exact !== undefined) return exact;
    const matches = reference === "" ? [] : this.#withPrefix(reference);
    if (matches.length > 1) {
      throw invalidArgument(tellAmbiguity(reference, matches.length));
    }
    const [match] = matches;
    if (match === undefined) throw notFound("network", reference);
    return match;
  }

  #withPrefix(prefix: string): NetworkRecord[] {
    return this.networks().filter((network) => network.id.startsWith(prefix));
  }

  /** The network of an endpoint, also while only its name is known. */
  networkOf(endpoint: EndpointRecord): NetworkRecord | undefined {
    return this.#networks.get(endpoint.networkId) ?? this.byName(endpoint.networkRef);
  }

  /** Endpoints in a network that hold addresses. */
  liveMembers(networkId: string): Member[] {
    const members: Member[] = [];
    for (const container of this.#containers.values()) {
      if (!container.started) continue;
      const endpoint = container.endpoints.find(
        (each) => each.networkId === networkId && each.live,
      );
      if (endpoint !== undefined) members.push({ container, endpoint });
    }
    const known = new Set(members.map(({ endpoint }) => endpoint.live?.endpointId));
    for (const member of this.#coming) {
      const { networkId: network, live } = member.endpoint;
      if (network === networkId && !known.has(live?.endpointId)) members.push(member);
    }
    return members;
  }

  /** Makes an endpoint one of its network's, for as long as it is in no container's record. */
  expectEndpoint(member: Member): Disposable {
    this.#coming.add(member);
    return {
      [Symbol.dispose]: () => {
        this.#coming.delete(member);
      },
    };
  }

  /** Keeps what a network will have. It is there from `putNetwork` on, or given up by `removeNetwork`. */
  reserveNetwork(network: NetworkRecord): void {
    this.#making.set(network.id, network);
  }

  putNetwork(network: NetworkRecord): DocumentChange {
    this.#making.delete(network.id);
    this.#networks.set(network.id, network);
    this.#pools.set(network.id, poolsOf(network));
    return { collection: "network", key: network.id, value: network };
  }

  removeNetwork(id: string): DocumentChange {
    this.#making.delete(id);
    this.#networks.delete(id);
    this.#pools.delete(id);
    return { collection: "network", key: id, value: undefined };
  }

  putContainer(container: ContainerNetworks): DocumentChange {
    this.#containers.set(container.containerId, container);
    return { collection: "endpoint", key: container.containerId, value: container };
  }

  removeContainer(id: string): DocumentChange {
    this.#containers.delete(id);
    return { collection: "endpoint", key: id, value: undefined };
  }

  pools(networkId: string): readonly AddressPool[] {
    return this.#pools.get(networkId) ?? [];
  }

  /**
   * Takes an address of the family: the one wanted, or the next one. Undefined when the network has no
   * subnet of that family and none is wanted. Errors: permission_denied (taken), internal (none left), invalid_argument.
   */
  takeAddress(network: NetworkRecord, family: 4 | 6, wanted: string): string | undefined {
    const pools = this.pools(network.id).filter((pool) => pool.subnet.family === family);
    if (wanted !== "") return this.#takeWanted(pools, wanted);
    if (pools.length === 0) return undefined;
    for (const pool of pools) {
      const address = pool.take();
      if (address !== undefined) return withPrefix(pool, address);
    }
    throw internal(
      `no available IPv${family} addresses on this network's address pools: ${network.name} (${network.id})`,
    );
  }

  #takeWanted(pools: readonly AddressPool[], wanted: string): string {
    const address = parseAddress(wanted);
    if (address === undefined) throw invalidArgument(`invalid IP address: ${wanted}`);
    const pool = pools.find((each) => contains(each, address));
    if (pool === undefined) {
      throw invalidArgument(`no configured subnet or ip-range contain the IP address ${wanted}`);
    }
    if (pool.has(address)) throw permissionDenied("Address already in use");
    pool.takeThis(address);
    return withPrefix(pool, address);
  }

  /** Takes the addresses of an endpoint that is known to be in use. */
  adoptAddresses(networkId: string, live: LiveEndpoint): void {
    this.#eachAddress(networkId, live, (pool, address) => {
      pool.adopt(address);
    });
  }

  giveBackAddresses(networkId: string, live: Pick<LiveEndpoint, "ipv4" | "ipv6">): void {
    this.#eachAddress(networkId, live, (pool, address) => {
      pool.giveBack(address);
    });
  }

  #eachAddress(
    networkId: string,
    live: Pick<LiveEndpoint, "ipv4" | "ipv6">,
    act: (pool: AddressPool, address: Address) => void,
  ): void {
    for (const text of [live.ipv4, live.ipv6]) {
      const address = parseInterfaceAddress(text)?.address;
      if (address === undefined) continue;
      for (const pool of this.pools(networkId)) if (contains(pool, address)) act(pool, address);
    }
  }
}

function contains(pool: AddressPool, address: Address): boolean {
  return pool.subnet.family === address.family && pool.contains(address);
}

function withPrefix(pool: AddressPool, address: Address): string {
  return pool.format(address);
}

function poolsOf(network: NetworkRecord): AddressPool[] {
  return network.ipam.config.flatMap((config) => {
    const subnet = parseSubnet(config.subnet);
    if (subnet === undefined) return [];
    const reserved = [config.gateway, ...Object.values(config.auxiliaryAddresses)].flatMap(
      (text) => parseAddress(text) ?? [],
    );
    return [new AddressPool({ subnet, range: parseSubnet(config.ipRange), reserved })];
  });
}
