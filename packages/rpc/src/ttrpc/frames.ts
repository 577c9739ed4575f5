/**
 * Frames of ttrpc (containerd's protocol of that name): a header of ten bytes, then a message.
 *
 *   0  length of the message, 32 bits, big endian
 *   4  number of the call, 32 bits, big endian; odd, made by the caller
 *   8  type
 *   9  flags, 0
 *
 * Types 1 and 2 are ttrpc's. It has no way to cancel a call, nor to say that a server is about to end: those
 * are ours.
 */
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { internal } from "@gantry/errors";
import { maxMessageBytes } from "../method-definition.ts";

export const frameType = {
  request: 1,
  response: 2,
  cancel: 0x10,
  goAway: 0x11,
  refused: 0x12,
} as const;

/** One frame. */
export interface Frame {
  readonly type: number;
  readonly call: number;
  readonly body: Buffer;
}

const headerBytes = 10;
/** Room for what stands around a message of the greatest length. */
const maxFrameBytes = maxMessageBytes + 64 * 1024;

/** Where a socket's ttrpc twin is: `x.sock` has `x.ttrpc.sock`. */
export function ttrpcSocketOf(socketPath: string): string {
  return `${socketPath.replace(/\.sock$/, "")}.ttrpc.sock`;
}

/** A frame, ready to be written at once. */
export function encodeFrame(type: number, call: number, body: Uint8Array = nothing): Buffer {
  const bytes = Buffer.allocUnsafe(headerBytes + body.length);
  bytes.writeUInt32BE(body.length, 0);
  bytes.writeUInt32BE(call, 4);
  bytes[8] = type;
  bytes[9] = 0;
  bytes.set(body, headerBytes);
  return bytes;
}

const nothing: Uint8Array = new Uint8Array();

/** Cuts what comes from a socket into frames. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #length = 0;
  #wanted = headerBytes;

  /** The frames that are whole with this chunk. Throws internal for one that is too long. */
  *take(chunk: Buffer): Generator<Frame> {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    while (this.#length >= this.#wanted) {
      const bytes = this.#joined();
      const length = bytes.readUInt32BE(0);
      if (length > maxFrameBytes) throw internal(`a frame of ${String(length)} bytes is too long`);
      this.#wanted = headerBytes + length;
      if (bytes.length < this.#wanted) return;
      const body = bytes.subarray(headerBytes, this.#wanted);
      const rest = bytes.subarray(this.#wanted);
      this.#chunks = rest.length === 0 ? [] : [rest];
      this.#length = rest.length;
      this.#wanted = headerBytes;
      yield { type: bytes[8] ?? 0, call: bytes.readUInt32BE(4), body };
    }
  }

  #joined(): Buffer {
    const [only] = this.#chunks;
    if (only !== undefined && this.#chunks.length === 1) return only;
    const joined = Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
  }
}

/** ttrpc's Request, as far as we have a use for it. */
export interface Request {
  /** Full name of the service. */
  readonly service: string;
  readonly method: string;
  readonly payload: Uint8Array;
}

/** Request{service = 1, method = 2, payload = 3}. */
export function encodeRequest({ service, method, payload }: Request): Uint8Array {
  return new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(service)
    .tag(2, WireType.LengthDelimited)
    .string(method)
    .tag(3, WireType.LengthDelimited)
    .bytes(payload)
    .finish();
}

export function decodeRequest(body: Uint8Array): Request {
  const request: { -readonly [K in keyof Request]: Request[K] } = {
    ...{ service: "", method: "", payload: nothing },
  };
  const reader = new BinaryReader(body);
  while (reader.pos < reader.len) {
    const [no, wireType] = reader.tag();
    if (no === 1) request.service = reader.string();
    else if (no === 2) request.method = reader.string();
    else if (no === 3) request.payload = reader.bytes();
    else reader.skip(wireType, no);
  }
  return request;
}

/** ttrpc's Response: the answer, or a google.rpc.Status. */
export interface Response {
  readonly status: Uint8Array | undefined;
  readonly payload: Uint8Array;
}

/** Response{status = 1, payload = 2}. */
export function encodeResponse({ status, payload }: Response): Uint8Array {
  const writer = new BinaryWriter();
  if (status !== undefined) writer.tag(1, WireType.LengthDelimited).bytes(status);
  return writer.tag(2, WireType.LengthDelimited).bytes(payload).finish();
}

export function decodeResponse(body: Uint8Array): Response {
  const response: { -readonly [K in keyof Response]: Response[K] } = {
    ...{ status: undefined, payload: nothing },
  };
  const reader = new BinaryReader(body);
  while (reader.pos < reader.len) {
    const [no, wireType] = reader.tag();
    if (no === 1) response.status = reader.bytes();
    else if (no === 2) response.payload = reader.bytes();
    else reader.skip(wireType, no);
  }
  return response;
}
