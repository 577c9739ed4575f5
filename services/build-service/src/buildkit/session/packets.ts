/** Encoding of fsutil's packets. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Packet, PacketSchema, Packet_PacketType as PacketType } from "@gantry/proto/buildkit";

export { type Packet, PacketType };

/** Decodes one. */
export const decodePacket = (bytes: Uint8Array): Packet => fromBinary(PacketSchema, bytes);

/** A request for the content of an entry. */
export const requestPacket = (id: number): Uint8Array =>
  toBinary(PacketSchema, create(PacketSchema, { type: PacketType.PACKET_REQ, id }));

/** Content of an entry; empty: its end. */
export const dataPacket = (id: number, data: Uint8Array): Uint8Array =>
  toBinary(PacketSchema, create(PacketSchema, { type: PacketType.PACKET_DATA, id, data }));

/** The end of a transfer. */
export const finPacket: Uint8Array = toBinary(
  PacketSchema,
  create(PacketSchema, { type: PacketType.PACKET_FIN }),
);

/** Why a transfer can't go on. */
export const errorPacket = (text: string): Uint8Array =>
  toBinary(
    PacketSchema,
    create(PacketSchema, { type: PacketType.PACKET_ERR, data: new TextEncoder().encode(text) }),
  );
