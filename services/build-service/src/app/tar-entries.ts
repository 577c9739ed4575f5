/** Plain entries of a tar (ustar), as archives of images need them. */

const blockBytes = 512;

/** The end of an archive. */
export const tarEnd: Uint8Array = new Uint8Array(2 * blockBytes);

/** An archive's bytes up to its end. */
export async function* withoutEnd(archive: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array = new Uint8Array();
  for await (const chunk of archive) {
    if (chunk.length >= tarEnd.length && held.length > 0) yield held;
    const all = chunk.length >= tarEnd.length ? chunk : Buffer.concat([held, chunk]);
    const known = Math.max(0, all.length - tarEnd.length);
    if (known > 0) yield all.subarray(0, known);
    held = all.subarray(known);
  }
}

/** Head of a file, readable for all, without time. Names are at most 100 bytes long. */
export function tarHead(name: string, sizeBytes: number): Uint8Array {
  return headOf({ name, sizeBytes, mode: 0o644, type: "0" });
}

/** A folder. Its name ends in a slash. */
export function tarFolder(name: string): Uint8Array {
  return headOf({ name, sizeBytes: 0, mode: 0o755, type: "5" });
}

function headOf(entry: {
  readonly name: string;
  readonly sizeBytes: number;
  readonly mode: number;
  readonly type: string;
}): Uint8Array {
  const head = Buffer.alloc(blockBytes);
  head.write(entry.name, 0, 100, "utf8");
  const octal = (value: number, at: number, length: number): void => {
    head.write(`${value.toString(8).padStart(length - 1, "0")}\0`, at, "latin1");
  };
  octal(entry.mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(entry.sizeBytes, 124, 12);
  octal(0, 136, 12);
  head.write("        ", 148, "latin1");
  head.write(entry.type, 156, "latin1");
  head.write("ustar\x0000", 257, "latin1");
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return head;
}

/** What fills the last block of a file. */
export function tarPadding(sizeBytes: number): Uint8Array {
  return new Uint8Array((blockBytes - (sizeBytes % blockBytes)) % blockBytes);
}
