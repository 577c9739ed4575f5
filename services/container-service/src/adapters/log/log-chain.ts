/**
 * A log and its rotated predecessors, opened together: `path` is the newest, `path.1` the one before,
 * and so on; a number is there plain or as `.gz`. Files are opened newest first, and once more when a
 * rotation came in between, so that the chain has no gap and no file twice.
 */
import { type FileHandle, open } from "node:fs/promises";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { hasErrno } from "@gantry/errors";

/** One open file of the chain. */
export interface ChainFile {
  readonly handle: FileHandle;
  readonly compressed: boolean;
  readonly inode: number;
}

const mostFiles = 1000;
/** So many empty numbers one after another are the end of the chain. */
const mostEmpty = 3;
const attempts = 10;

/**
 * Opens all files, newest first; none for no log. With `oldest`, an inode, none that is older than
 * that file.
 */
export async function openChain(path: string, oldest?: number): Promise<ChainFile[]> {
  for (let attempt = 0; ; attempt++) {
    const files = await openAll(path, oldest);
    const newest = files[0];
    if (newest === undefined || attempt >= attempts) return files;
    const now = await openOne(path, false);
    const same = now?.inode === newest.inode;
    await now?.handle.close();
    if (same) return files;
    await closeAll(files);
  }
}

/**
 * A rotation moves each file to the next number, the oldest first. In the middle of one a number is
 * empty, whose file stands at the next; and a file that was opened already is met a second time.
 */
async function openAll(path: string, oldest: number | undefined): Promise<ChainFile[]> {
  const files: ChainFile[] = [];
  const seen = new Set<number>();
  let empty = 0;
  try {
    for (let number = 0; number < mostFiles && empty < mostEmpty; number++) {
      if (oldest !== undefined && seen.has(oldest)) break;
      const file = await openNumber(path, number);
      if (file === undefined) {
        empty++;
      } else if (seen.has(file.inode)) {
        await file.handle.close();
      } else {
        empty = 0;
        seen.add(file.inode);
        files.push(file);
      }
    }
  } catch (error) {
    await closeAll(files);
    throw error;
  }
  return files;
}

async function openNumber(path: string, number: number): Promise<ChainFile | undefined> {
  if (number === 0) return openOne(path, false);
  const numbered = `${path}.${String(number)}`;
  return (await openOne(numbered, false)) ?? (await openOne(`${numbered}.gz`, true));
}

/** Undefined when there is no such file. */
export async function openOne(path: string, compressed: boolean): Promise<ChainFile | undefined> {
  const handle = await open(path, "r").catch((error: unknown) => {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  });
  if (handle === undefined) return undefined;
  try {
    const { ino } = await handle.stat();
    return { handle, compressed, inode: ino };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

export async function closeAll(files: readonly ChainFile[]): Promise<void> {
  for (const { handle } of files) await handle.close();
}

const chunkBytes = 64 * 1024;

/** Bytes of a file from a position to its end as it is now. */
export async function* readFrom(file: ChainFile, position: number): AsyncGenerator<Buffer, number> {
  if (file.compressed) {
    const source = file.handle.createReadStream({ autoClose: false, start: 0 });
    const text = createGunzip();
    // Whoever reads the text sees with what the source failed.
    pipeline(source, text, () => undefined);
    yield* text as AsyncIterable<Buffer>;
    return 0;
  }
  let at = position;
  for (;;) {
    const { bytesRead, buffer } = await file.handle.read(
      Buffer.allocUnsafe(chunkBytes),
      0,
      chunkBytes,
      at,
    );
    if (bytesRead === 0) return at;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

const newline = 0x0a;

/** Where the last `count` lines of a plain file begin, and how many there are before its end at most. */
export async function tailPosition(
  file: ChainFile,
  count: number,
): Promise<{ readonly position: number; readonly lines: number }> {
  const { size } = await file.handle.stat();
  let end = size;
  let lines = 0;
  while (end > 0) {
    const length = Math.min(chunkBytes, end);
    const begin = end - length;
    const { buffer } = await file.handle.read(Buffer.allocUnsafe(length), 0, length, begin);
    for (let at = length - 1; at >= 0; at--) {
      if (buffer[at] !== newline) continue;
      // The newline at the very end closes the last line, each one before ends an older line.
      if (lines === count) return { position: begin + at + 1, lines };
      lines++;
    }
    end = begin;
  }
  return { position: 0, lines: Math.min(lines, count) };
}
