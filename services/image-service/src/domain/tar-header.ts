/** ustar headers for the archives that we write, PAX where a size does not fit. Always the same bytes for the same input. */
export interface TarMember {
  readonly name: string;
  readonly sizeBytes: number;
  readonly directory?: boolean;
}

const blockBytes = 512;

/** Largest size in eleven octal digits. */
const maxOctalSize = 0o77777777777;

/** The header blocks of a member, whose names are short and ours. */
export function tarHeader(member: TarMember): Buffer {
  if (member.sizeBytes <= maxOctalSize) return ustar(member, member.directory ? "5" : "0");
  const pax = Buffer.from(paxRecord("size", String(member.sizeBytes)));
  return Buffer.concat([
    ustar({ name: "PaxHeaders/size", sizeBytes: pax.length }, "x"),
    pax,
    tarPadding(pax.length),
    ustar({ ...member, sizeBytes: 0 }, "0"),
  ]);
}

/** Zeros up to the next block after a content of some bytes. */
export function tarPadding(sizeBytes: number): Buffer {
  return Buffer.alloc((blockBytes - (sizeBytes % blockBytes)) % blockBytes);
}

/** What ends an archive. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * blockBytes);
}

function ustar({ name, sizeBytes, directory }: TarMember, type: string): Buffer {
  const block = Buffer.alloc(blockBytes);
  block.write(name, 0, 100, "utf8");
  block.write(directory ? "0000755\0" : "0000644\0", 100, "latin1");
  block.write("0000000\0", 108, "latin1");
  block.write("0000000\0", 116, "latin1");
  block.write(`${sizeBytes.toString(8).padStart(11, "0")}\0`, 124, "latin1");
  block.write("00000000000\0", 136, "latin1");
  block.write("        ", 148, "latin1");
  block.write(type, 156, "latin1");
  block.write("ustar\u000000", 257, "latin1");
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (`${length}${rest}`.length !== length) length += 1;
  return `${length}${rest}`;
}
