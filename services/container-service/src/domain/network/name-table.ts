/** What a container's own name server knows. Shaped as gantry.shim.v1.NameTable, so that it is passed on as it is. */

import { parseAddress } from "./address.ts";
import type { UpstreamServer } from "./container-files.ts";

/** Version of the table's meaning. */
export const namesVersion = 1;

export interface NameMember {
  /** Container ID. */
  readonly id: string;
  /** The first one answers for the addresses. */
  readonly names: string[];
  /** 4 or 16 bytes each. */
  readonly addresses: Uint8Array[];
}

export interface NameNetwork {
  readonly id: string;
  readonly name: string;
  readonly links: { readonly alias: string; readonly name: string }[];
  readonly members: NameMember[];
}

export interface NameTable {
  readonly version: number;
  readonly networks: NameNetwork[];
  readonly upstreams: {
    readonly address: Uint8Array;
    readonly fromHost: boolean;
    /** Of a link-local address: the link it is on. */
    readonly zone?: string;
  }[];
  readonly hasWayOut: boolean;
  readonly keepSingleLabels: boolean;
}

export interface NamesChange {
  readonly version: number;
  readonly networkId: string;
  readonly put: NameMember[];
  /** Container IDs. */
  readonly drop: string[];
}

/** Members of one message at most: a frame of the shim's protocol has at most a mebibyte. */
const membersPerMessage = 1000;

/** A table that is too large for one message, and the rest of it as changes. */
export function splitTable(table: NameTable): { table: NameTable; changes: NamesChange[] } {
  let room = membersPerMessage;
  const changes: NamesChange[] = [];
  const networks = table.networks.map((network) => {
    const members = network.members.slice(0, room);
    room -= members.length;
    for (let at = members.length; at < network.members.length; at += membersPerMessage) {
      const put = network.members.slice(at, at + membersPerMessage);
      changes.push({ version: namesVersion, networkId: network.id, put, drop: [] });
    }
    return { ...network, members };
  });
  return { table: { ...table, networks }, changes };
}

/** Addresses of text, with or without a prefix length; empty texts are passed over. */
export function addressBytes(texts: readonly string[]): Uint8Array[] {
  return texts.flatMap((text) => {
    const address = parseAddress(text.replace(/\/.*$/, ""));
    return address === undefined ? [] : [bytesOf(address)];
  });
}

function bytesOf({ family, value }: { family: 4 | 6; value: bigint }): Uint8Array {
  const length = family === 4 ? 4 : 16;
  const hex = value.toString(16).padStart(length * 2, "0");
  return Uint8Array.from(Buffer.from(hex, "hex"));
}

export function upstreamBytes(servers: readonly UpstreamServer[]): NameTable["upstreams"] {
  return servers.flatMap(({ address: text, fromHost }) => {
    const [plain = "", zone] = text.split("%");
    return addressBytes([plain]).map((address) =>
      zone === undefined ? { address, fromHost } : { address, fromHost, zone },
    );
  });
}
