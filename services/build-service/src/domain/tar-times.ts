/** Times of a tar's entries, set back to a moment that none of them is to be younger than. */

const blockBytes = 512;

/** Extended headers are small; what claims to be larger is no archive of ours. */
const maxExtendedBytes = 1024 * 1024;

/** Records of extended headers that are times. */
const timeRecords = new Set(["mtime", "atime", "ctime"]);

/**
 * Rewrites an archive.
 * @param notAfter seconds since the epoch
 */
export async function* clampTimes(
  archive: AsyncIterable<Uint8Array>,
  notAfter: number,
): AsyncGenerator<Uint8Array> {
  const reader = new BlockReader(archive);
  for (;;) {
    const head = await reader.read(blockBytes);
    if (head.length < blockBytes || head.every((byte) => byte === 0)) {
      yield head;
      yield* reader.rest();
      return;
    }
    const size = sizeOf(head);
    const paddedBytes = Math.ceil(size / blockBytes) * blockBytes;
    if (String.fromCharCode(head[156] ?? 0) === "x") {
      if (size > maxExtendedBytes) throw new RangeError("an extended header is too large");
      yield* extendedHeader(head, (await reader.read(paddedBytes)).subarray(0, size), notAfter);
      continue;
    }
    const timeText = Buffer.from(head.subarray(136, 148)).toString("latin1");
    const time = Number.parseInt(timeText, 8);
    yield time > notAfter ? withOctal(head, 136, notAfter) : head;
    yield* reader.pass(paddedBytes);
  }
}

/** Sizes that octal digits can't hold are binary. */
function sizeOf(head: Buffer): number {
  const field = head.subarray(124, 136);
  if (((field[0] ?? 0) & 0x80) === 0) return Number.parseInt(field.toString("latin1"), 8) || 0;
  return Number(field.readBigUInt64BE(4));
}

function withOctal(head: Buffer, at: number, value: number): Buffer {
  const changed = Buffer.from(head);
  changed.write(`${value.toString(8).padStart(11, "0")}\0`, at, "latin1");
  changed.write("        ", 148, "latin1");
  const sum = changed.reduce((total, byte) => total + byte, 0);
  changed.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return changed;
}

/** One whose only records were times that are too young is left out: the entry's own head has them. */
function* extendedHeader(head: Buffer, body: Buffer, notAfter: number): Generator<Uint8Array> {
  const records: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const length = Number.parseInt(body.subarray(at).toString("latin1", 0, 20), 10);
    if (!(length > 0)) throw new RangeError("an extended header is damaged");
    const record = body.subarray(at, at + length);
    at += length;
    const [, key = "", value = ""] = /^\d+ ([^=]*)=([^\n]*)/.exec(record.toString("latin1")) ?? [];
    const isYounger = timeRecords.has(key) && Number.parseFloat(value) > notAfter;
    if (!isYounger) records.push(record);
  }
  if (records.length === 0) return;
  const kept = Buffer.concat(records);
  yield kept.length === body.length ? head : withOctal(head, 124, kept.length);
  yield kept;
  yield Buffer.alloc((blockBytes - (kept.length % blockBytes)) % blockBytes);
}

/** Bytes in the portions that are asked for. */
class BlockReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #held: Buffer = Buffer.alloc(0);

  constructor(archive: AsyncIterable<Uint8Array>) {
    this.#chunks = archive[Symbol.asyncIterator]();
  }

  /** So many bytes, or fewer at the end. */
  async read(bytes: number): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    for await (const part of this.pass(bytes)) parts.push(part);
    return Buffer.concat(parts);
  }

  /** So many bytes as they come. */
  async *pass(bytes: number): AsyncGenerator<Uint8Array> {
    for (let left = bytes; left > 0; ) {
      if (this.#held.length === 0 && !(await this.#more())) return;
      const part = this.#held.subarray(0, left);
      this.#held = this.#held.subarray(part.length);
      left -= part.length;
      yield part;
    }
  }

  async *rest(): AsyncGenerator<Uint8Array> {
    do {
      yield this.#held;
      this.#held = Buffer.alloc(0);
    } while (await this.#more());
  }

  async #more(): Promise<boolean> {
    const next = await this.#chunks.next();
    if (next.done === true) return false;
    this.#held = Buffer.from(next.value);
    return true;
  }
}
