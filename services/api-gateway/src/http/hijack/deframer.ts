/** Takes Docker's frames apart: 8 bytes of head (stream, three zeros, length), then the payload. */

const headBytes = 8;

/** Finds payloads in a byte stream, whatever its chunks. */
export class Deframer {
  #head = Buffer.alloc(0);
  /** Bytes of the current payload still to come. */
  #left = 0;

  /** The payload bytes of a chunk, without heads. */
  push(chunk: Buffer): Buffer[] {
    const payloads: Buffer[] = [];
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#left === 0) {
        rest = this.#readHead(rest);
        continue;
      }
      const payload = rest.subarray(0, this.#left);
      this.#left -= payload.length;
      payloads.push(payload);
      rest = rest.subarray(payload.length);
    }
    return payloads;
  }

  #readHead(chunk: Buffer): Buffer {
    const missing = headBytes - this.#head.length;
    this.#head = Buffer.concat([this.#head, chunk.subarray(0, missing)]);
    if (this.#head.length === headBytes) {
      this.#left = this.#head.readUInt32BE(4);
      this.#head = Buffer.alloc(0);
    }
    return chunk.subarray(missing);
  }
}
