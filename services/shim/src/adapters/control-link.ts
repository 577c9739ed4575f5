/**
 * The framed protocol of a control connection: little-endian uint32 length, then one message.
 * See proto/gantry/shim/v1/process.proto.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { dataLoss, deadlineExceeded, type EngineError, unavailable } from "@gantry/errors";
import { type ShimMessage, ShimMessageSchema, ShimRequestSchema } from "@gantry/proto/shim";
import type { LinkOptions, ProcessLink, ShimRequestBody } from "../ports.ts";
import { toEngineErrorOf } from "../process-error.ts";

const lengthBytes = 4;
const maxFrameBytes = 1 << 20;

interface Pending {
  readonly resolve: (message: ShimMessage["message"]) => void;
  readonly reject: (error: EngineError) => void;
  readonly timer: NodeJS.Timeout;
}

export function openControlLink(options: LinkOptions): ProcessLink {
  const { socket, onEvent } = options;
  const pending = new Map<bigint, Pending>();
  let sequence = 0n;
  let open = true;

  const settle = (seq: bigint, message: ShimMessage["message"]): void => {
    const waiting = pending.get(seq);
    // An answer that comes after its deadline has nobody waiting.
    if (waiting === undefined) return;
    pending.delete(seq);
    clearTimeout(waiting.timer);
    if (message.case === "error") waiting.reject(toEngineErrorOf(message.value));
    else waiting.resolve(message);
  };

  const take = (frame: Uint8Array): void => {
    const { replyTo, message } = fromBinary(ShimMessageSchema, frame);
    if (replyTo === 0n) onEvent(message);
    else settle(replyTo, message);
  };

  const frames = frameReader(take);
  socket.on("data", (chunk: Buffer) => {
    try {
      frames(chunk);
    } catch (error) {
      socket.destroy(dataLoss("shim process sent a malformed message", { cause: error }));
    }
  });
  socket.on("error", () => undefined);
  const ended = new Promise<void>((resolve) => {
    socket.once("close", () => {
      open = false;
      for (const waiting of pending.values()) {
        clearTimeout(waiting.timer);
        waiting.reject(unavailable("shim process closed its connection"));
      }
      pending.clear();
      resolve();
    });
  });

  const ask = (request: ShimRequestBody): Promise<ShimMessage["message"]> =>
    new Promise((resolve, reject) => {
      if (!open) {
        reject(unavailable("shim process is not connected"));
        return;
      }
      sequence += 1n;
      const seq = sequence;
      const timer = setTimeout(() => {
        pending.delete(seq);
        reject(deadlineExceeded("shim process does not answer"));
      }, options.answerTimeoutMs);
      pending.set(seq, { resolve, reject, timer });
      socket.write(
        encodeFrame(toBinary(ShimRequestSchema, create(ShimRequestSchema, { seq, request }))),
      );
    });

  return {
    ask,
    begin: () => {
      socket.write(encodeFrame(new Uint8Array(0)));
    },
    ended,
    close: () => {
      socket.destroy();
    },
  };
}

function encodeFrame(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(lengthBytes + message.length);
  frame.writeUInt32LE(message.length, 0);
  frame.set(message, lengthBytes);
  return frame;
}

/** Cuts a byte stream into frames. Throws when a length is too large. */
export function frameReader(take: (frame: Uint8Array) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= lengthBytes) {
      const length = rest.readUInt32LE(0);
      if (length > maxFrameBytes) throw dataLoss(`frame of ${String(length)} bytes`);
      if (rest.length < lengthBytes + length) return;
      take(rest.subarray(lengthBytes, lengthBytes + length));
      rest = rest.subarray(lengthBytes + length);
    }
  };
}
