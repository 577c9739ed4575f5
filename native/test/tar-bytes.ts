// Makes tar archives byte by byte, wrong ones too: a hostile archive is made of what no archiver would write.

export interface RawEntry {
  name: string;
  /** Type flag of the header; "0" is a regular file. */
  type?: string;
  linkName?: string;
  mode?: number;
  uid?: number;
  gid?: number;
  mtimeSeconds?: number;
  data?: string | Buffer;
  /** Size field, when it should not be the length of `data`. */
  size?: number;
  deviceMajor?: number;
  deviceMinor?: number;
  /** PAX records that precede the entry. */
  pax?: Record<string, string | Buffer>;
  /** Changes the finished header before its checksum is made. */
  patch?: (header: Buffer) => void;
  badChecksum?: boolean;
}

const blockSize = 512;

/** A whole archive, with its two zero blocks. */
export function tarOf(...entries: RawEntry[]): Buffer {
  return Buffer.concat([...entries.map(entryBytes), Buffer.alloc(2 * blockSize)]);
}

/** One entry: PAX header if asked for, header, data, padding. */
export function entryBytes(entry: RawEntry): Buffer {
  const parts: Buffer[] = [];
  if (entry.pax) {
    const records = Buffer.concat(
      Object.entries(entry.pax).map(([key, value]) => paxRecord(key, value)),
    );
    parts.push(header({ name: "PaxHeader", type: "x", size: records.length }), padded(records));
  }
  const data = Buffer.from(entry.data ?? "");
  parts.push(header({ ...entry, size: entry.size ?? data.length }), padded(data));
  return Buffer.concat(parts);
}

function paxRecord(key: string, value: string | Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from("\n")]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length)
    length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

export function padded(data: Buffer): Buffer {
  return Buffer.concat([data, Buffer.alloc((blockSize - (data.length % blockSize)) % blockSize)]);
}

function header(entry: RawEntry): Buffer {
  const block = Buffer.alloc(blockSize);
  block.write(entry.name, 0, 100, "latin1");
  octal(block, 100, 8, entry.mode ?? 0o644);
  octal(block, 108, 8, entry.uid ?? 0);
  octal(block, 116, 8, entry.gid ?? 0);
  octal(block, 124, 12, entry.size ?? 0);
  octal(block, 136, 12, entry.mtimeSeconds ?? 1_600_000_000);
  block.write(entry.type ?? "0", 156, 1, "latin1");
  block.write(entry.linkName ?? "", 157, 100, "latin1");
  block.write("ustar\0" + "00", 257, 8, "latin1");
  octal(block, 329, 8, entry.deviceMajor ?? 0);
  octal(block, 337, 8, entry.deviceMinor ?? 0);
  entry.patch?.(block);
  block.fill(" ", 148, 156);
  const sum = block.reduce((total, byte) => total + byte, entry.badChecksum ? 1 : 0);
  block.write(sum.toString(8).padStart(6, "0") + "\0", 148, 7, "latin1");
  return block;
}

function octal(block: Buffer, offset: number, size: number, value: number): void {
  if (value >= 8 ** (size - 1)) {
    // GNU's base-256.
    block.writeBigUInt64BE(BigInt(value), offset + size - 8);
    block.writeUInt8(block.readUInt8(offset) | 0x80, offset);
    return;
  }
  block.write(value.toString(8).padStart(size - 1, "0"), offset, size - 1, "latin1");
}
