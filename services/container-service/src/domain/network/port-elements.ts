/** Published ports as elements of the maps and sets of `ruleset.ts`, in the form that the kernel has them in. */
import { type Address, familyBits } from "./address.ts";
import { mapName, type Protocol, type RedirectedPort } from "./ruleset.ts";

/** Elements of one map, or of a set (no values), to be put in or taken out: keys and values one after the other. */
export interface PortElements {
  readonly map: string;
  readonly remove: boolean;
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
  readonly count: number;
}

const protocolNumbers: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17, sctp: 132 };
/** Each part of a key is padded to this. */
const partBytes = 4;

/** Removals come first: a port may go from one container to another. Empty when nothing changes. */
export function portElements(
  added: readonly RedirectedPort[],
  removed: readonly RedirectedPort[],
): PortElements[] {
  return [...elementsOf(removed, true), ...elementsOf(added, false)];
}

function elementsOf(ports: readonly RedirectedPort[], remove: boolean): PortElements[] {
  return [...Map.groupBy(ports, mapName)].map(([map, members]) => ({
    map,
    remove,
    keys: Buffer.concat(members.map(keyOf)),
    values: Buffer.concat(members.map(valueOf)),
    count: members.length,
  }));
}

function keyOf(port: RedirectedPort): Buffer {
  const { protocol, hostAddress, hostPort } = port;
  const part = Buffer.of(protocolNumbers[protocol], 0, 0, 0);
  if (hostPort === undefined) return Buffer.concat([part, placeOf(port)]);
  const address = hostAddress === undefined ? [] : [addressPart(hostAddress)];
  return Buffer.concat([part, ...address, portPart(hostPort)]);
}

function valueOf(port: RedirectedPort): Buffer {
  return port.hostPort === undefined ? Buffer.alloc(0) : placeOf(port);
}

function placeOf({ containerAddress, containerPort }: RedirectedPort): Buffer {
  return Buffer.concat([addressPart(containerAddress), portPart(containerPort)]);
}

function addressPart({ family, value }: Address): Buffer {
  return Buffer.from(value.toString(16).padStart(familyBits(family) / 4, "0"), "hex");
}

function portPart(port: number): Buffer {
  const part = Buffer.alloc(partBytes);
  part.writeUInt16BE(port);
  return part;
}
