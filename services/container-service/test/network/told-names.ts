/** What name servers were told: applies tables and changes as the shim process does. */
import type { NameMember } from "../../src/domain/network/name-table.ts";
import type { NamesUpdate } from "../../src/ports/network-host.ts";

interface KnownNetwork {
  readonly name: string;
  readonly members: Map<string, NameMember>;
}

export class ToldNames {
  /** By container, then by network ID. */
  readonly #servers = new Map<string, Map<string, KnownNetwork>>();

  tell(containerId: string, { table, changes }: NamesUpdate): void {
    if (table !== undefined) {
      const networks = table.networks.map(({ id, name, members }) => {
        const byId = new Map(members.map((member) => [member.id, member]));
        return [id, { name, members: byId }] as const;
      });
      this.#servers.set(containerId, new Map(networks));
    }
    for (const { networkId, put, drop } of changes) {
      const members = this.#servers.get(containerId)?.get(networkId)?.members;
      for (const id of drop) members?.delete(id);
      for (const member of put) members?.set(member.id, member);
    }
  }

  /** The IPv4 address that a container finds for a name in a network. */
  find(containerId: string, network: string, name: string): string | undefined {
    for (const known of this.#servers.get(containerId)?.values() ?? []) {
      if (known.name !== network) continue;
      for (const { names, addresses } of known.members.values()) {
        if (names.includes(name)) return addresses.find(({ length }) => length === 4)?.join(".");
      }
    }
    return undefined;
  }
}
