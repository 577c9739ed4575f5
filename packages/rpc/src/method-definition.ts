import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type Message,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { MethodDefinition } from "@grpc/grpc-js";

/** Messages bigger than this are refused on both sides: bulk bytes take the data plane. */
export const maxMessageBytes = 16 * 1024 * 1024;

/** grpc-js's description of a method, over protobuf-es messages. */
export type WireMethod = MethodDefinition<Message, Message>;

const serializeAs =
  (schema: DescMessage) =>
  (message: Message): Buffer => {
    const bytes = toBinary(schema, create(schema, message as MessageInitShape<DescMessage>));
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };

const deserializeAs =
  (schema: DescMessage) =>
  (bytes: Buffer): Message =>
    fromBinary(schema, bytes);

/** Full path of a method on the wire. */
export function methodPath(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** Describes a method to grpc-js. Requests and responses may be given as init objects. */
export function describeMethod(method: DescMethod): WireMethod {
  return {
    path: methodPath(method),
    requestStream:
      method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
    responseStream:
      method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
    requestSerialize: serializeAs(method.input),
    requestDeserialize: deserializeAs(method.input),
    responseSerialize: serializeAs(method.output),
    responseDeserialize: deserializeAs(method.output),
    originalName: method.localName,
  };
}
