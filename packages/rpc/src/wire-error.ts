/**
 * Errors on the gRPC wire: the code, the message, and the kind in a detail.
 *
 * The detail travels twice: as `gantry-error-bin` (a bare ErrorDetail, for our own peers) and inside
 * `grpc-status-details-bin` (google.rpc.Status with the ErrorDetail as Any, for everybody's tools). An error
 * may quote what its caller sent, of any length: what peers don't take as headers would end the whole
 * connection, with the calls of others on it.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  EngineError,
  type ErrorDetails,
  type ErrorKind,
  grpcCode,
  isErrorKind,
  kindOfGrpcCode,
  toEngineError,
} from "@gantry/errors";
import { type ErrorDetail, ErrorDetailSchema } from "@gantry/proto/error";
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";

const detailKey = "gantry-error-bin";
const statusKey = "grpc-status-details-bin";

/** Longer messages are cut: they travel in a header, whose size peers limit. */
const maxMessageLength = 8192;
/** The same as it is escaped in the header. */
const maxEscapedBytes = 12 * 1024;
/** A longer ID is left out: it is in the message, and no resource has one. */
const maxIdLength = 512;
/** What all headers of an error may take. gRPC's C core (Python, C++) drops a call with more than 16 KiB. */
const maxTrailerBytes = 15 * 1024;

/** What grpc-js sends at the end of a call. */
export interface WireStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

/** Any caught value as what the server sends. Causes stay here. */
export function toStatus(error: unknown): WireStatus {
  const bare = bareStatus(error);
  const { code, detail } = bare;
  const message = fitted(bare.message);
  const status = statusProto(code, message, detail);
  const metadata = new Metadata();
  metadata.set(detailKey, Buffer.from(detail));
  // It has the message once more: where that is too much, the code and the detail above say it all.
  const bytes = encodeURI(message).length + base64Length(detail) + base64Length(status);
  if (bytes <= maxTrailerBytes) metadata.set(statusKey, Buffer.from(status));
  return { code, details: message, metadata };
}

/** The message as far as a header takes it. */
function fitted(message: string): string {
  if (encodeURI(message).length <= maxEscapedBytes) return message;
  let [length, bytes] = [0, 0];
  for (const character of message) {
    bytes += encodeURI(character).length;
    if (bytes > maxEscapedBytes) break;
    length += character.length;
  }
  return message.slice(0, length);
}

function base64Length({ length }: Uint8Array): number {
  return Math.ceil(length / 3) * 4;
}

/** The same as an encoded google.rpc.Status. */
export function encodeStatus(error: unknown): Uint8Array {
  const { code, message, detail } = bareStatus(error);
  return statusProto(code, message, detail);
}

/**
 * Half a character, be it in what a caller or a registry sent or by our own cut, can't be escaped for a
 * header: grpc-js throws, which nobody would catch.
 */
function bareStatus(error: unknown): { code: number; message: string; detail: Uint8Array } {
  const engineError = toEngineError(error);
  return {
    code: grpcCode(engineError.kind),
    message: engineError.message.slice(0, maxMessageLength).toWellFormed(),
    detail: toBinary(ErrorDetailSchema, detailOf(engineError)),
  };
}

function detailOf(error: EngineError): ErrorDetail {
  const { resourceId = "" } = error.details;
  return create(ErrorDetailSchema, {
    kind: error.kind,
    resourceType: error.details.resourceType ?? "",
    resourceId: resourceId.length > maxIdLength ? "" : resourceId,
    exitCode: error.details.exitCode ?? 0,
  });
}

/** google.rpc.Status{code = 1, message = 2, details = 3: Any{type_url = 1, value = 2}}. */
function statusProto(code: number, message: string, detail: Uint8Array): Uint8Array {
  const any = new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(`type.googleapis.com/${ErrorDetailSchema.typeName}`)
    .tag(2, WireType.LengthDelimited)
    .bytes(detail)
    .finish();
  return new BinaryWriter()
    .tag(1, WireType.Varint)
    .int32(code)
    .tag(2, WireType.LengthDelimited)
    .string(message)
    .tag(3, WireType.LengthDelimited)
    .bytes(any)
    .finish();
}

/** An encoded google.rpc.Status as an EngineError. Throws when it is none. */
export function fromStatus(bytes: Uint8Array): EngineError {
  let code: number = status.UNKNOWN;
  let message = "";
  let detail: Uint8Array | undefined;
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [no, wireType] = reader.tag();
    if (no === 1) code = reader.int32();
    else if (no === 2) message = reader.string();
    else if (no === 3) detail = valueOfAny(reader.bytes());
    else reader.skip(wireType, no);
  }
  const read = readDetail(detail);
  return read === undefined
    ? new EngineError(kindOfGrpcCode(code), message)
    : new EngineError(read.kind, message, { details: read.details });
}

function valueOfAny(bytes: Uint8Array): Uint8Array | undefined {
  let value: Uint8Array | undefined;
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [no, wireType] = reader.tag();
    if (no === 2) value = reader.bytes();
    else reader.skip(wireType, no);
  }
  return value;
}

/** A failed call as an EngineError. `peer` is the name that a person sees when it does not answer. */
export function fromServiceError(error: ServiceError, peer: string): EngineError {
  const detail = readDetail(error.metadata?.get(detailKey)[0]);
  if (detail !== undefined) {
    return new EngineError(detail.kind, error.details, {
      cause: error,
      details: detail.details,
    });
  }
  const code = wasCutOff(error) ? status.UNAVAILABLE : error.code;
  return new EngineError(kindOfGrpcCode(code), bareMessage(code, error.details, peer), {
    cause: error,
  });
}

/**
 * Whether the peer went away in the middle of the call: grpc-js tells of a stream that ended without
 * a status (with an HTTP/2 connection that was closed) as an internal error.
 */
const wasCutOff = (error: ServiceError): boolean =>
  error.code === status.INTERNAL && error.details.includes("Call ended without gRPC status");

function bareMessage(code: status, details: string, peer: string): string {
  switch (code) {
    case status.UNAVAILABLE:
      return `${peer} is not available`;
    case status.DEADLINE_EXCEEDED:
      return `${peer} did not answer in time`;
    default:
      return details;
  }
}

interface ReadDetail {
  readonly kind: ErrorKind;
  readonly details: ErrorDetails;
}

function readDetail(bytes: string | Uint8Array | undefined): ReadDetail | undefined {
  if (!(bytes instanceof Uint8Array)) return undefined;
  const detail = parseDetail(bytes);
  if (detail === undefined || !isErrorKind(detail.kind)) return undefined;
  return {
    kind: detail.kind,
    details: {
      ...(detail.resourceType !== "" && { resourceType: detail.resourceType }),
      ...(detail.resourceId !== "" && { resourceId: detail.resourceId }),
      ...(detail.exitCode !== 0 && { exitCode: detail.exitCode }),
    },
  };
}

/** A detail that does not parse comes from a foreign peer: the bare code then decides. */
function parseDetail(bytes: Uint8Array): ErrorDetail | undefined {
  try {
    return fromBinary(ErrorDetailSchema, bytes);
  } catch {
    return undefined;
  }
}
