/** gRPC's framing of messages: one byte for compression, four for the length, then the message. */
import { resourceExhausted } from "@gantry/errors";

const headerBytes = 5;

/** Frames one message. */
export function frame(message: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(headerBytes + message.length);
  out[0] = 0;
  out.writeUInt32BE(message.length, 1);
  out.set(message, headerBytes);
  return out;
}

/** Cuts a stream of bytes into messages, whatever the chunks they come in. */
export class FrameReader {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #available = 0;

  /** @param maxBytes longer messages are refused. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Takes the next bytes. */
  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#available += chunk.length;
  }

  /** Bytes of a message that is not complete. */
  get isEmpty(): boolean {
    return this.#available === 0;
  }

  /** The next complete message. Throws resource_exhausted for one that is too long. */
  next(): Buffer | undefined {
    if (this.#available < headerBytes) return undefined;
    const head = this.#peek(headerBytes);
    if (head[0] !== 0) throw resourceExhausted("compressed messages are not accepted");
    const length = head.readUInt32BE(1);
    if (length > this.#maxBytes) {
      throw resourceExhausted(`message of ${String(length)} bytes is too long`);
    }
    if (this.#available < headerBytes + length) return undefined;
    this.#take(headerBytes);
    return this.#take(length);
  }

  /** The first bytes, left in place. */
  #peek(length: number): Buffer {
    const first = this.#chunks[0] ?? Buffer.alloc(0);
    if (first.length >= length) return first;
    const joined = Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
  }

  #take(length: number): Buffer {
    if (length === 0) return Buffer.alloc(0);
    const bytes = this.#peek(length);
    const rest = bytes.subarray(length);
    if (rest.length === 0) this.#chunks.shift();
    else this.#chunks[0] = rest;
    this.#available -= length;
    return bytes.subarray(0, length);
  }
}
