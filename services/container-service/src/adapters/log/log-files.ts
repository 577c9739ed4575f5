/** LogFiles on the file system: tail from the end, follow by inotify over rotations. */
import { existsSync, watch } from "node:fs";
import nodePath from "node:path";
import type { LogFiles, LogLine, OpenedLog, ReadLogOptions } from "../../ports/logs.ts";
import { LineSplitter } from "./line-splitter.ts";
import {
  type ChainFile,
  closeAll,
  openChain,
  openOne,
  readFrom,
  tailPosition,
} from "./log-chain.ts";

export function openLogFiles(): LogFiles {
  return { open: openLog };
}

async function openLog(path: string, options: ReadLogOptions): Promise<OpenedLog> {
  // Watched before the first look, so that nothing that comes later is missed.
  const bell = options.follow ? watchLog(path, options) : undefined;
  let isRead = false;
  try {
    const chain = await openChain(path);
    return {
      batches: {
        [Symbol.asyncIterator]() {
          isRead = true;
          return read(path, chain, bell, options);
        },
      },
      async close() {
        if (isRead) return;
        isRead = true;
        bell?.[Symbol.dispose]();
        await closeAll(chain);
      },
    };
  } catch (error) {
    bell?.[Symbol.dispose]();
    throw error;
  }
}

async function* read(
  path: string,
  chain: readonly ChainFile[],
  bell: Bell | undefined,
  options: ReadLogOptions,
): AsyncGenerator<readonly LogLine[]> {
  using _bell = bell;
  // While following, the newest file stays open after the first look, whose reader may have left in its middle.
  let newest = bell === undefined ? undefined : chain[0];
  try {
    const position = yield* readChain(chain, options);
    if (bell === undefined) return;
    newest = undefined;
    yield* follow(path, chain[0], position, bell, options);
  } finally {
    await newest?.handle.close();
  }
}

/** What is there now. Closes all files but the newest when following; returns where that was left. */
async function* readChain(
  chain: readonly ChainFile[],
  options: ReadLogOptions,
): AsyncGenerator<readonly LogLine[], Position> {
  const keep = options.follow ? chain.slice(1) : chain;
  const splitter = new LineSplitter();
  let position = 0;
  try {
    const plan = await planTail(chain, options.tail);
    for (const { file, from, skip } of plan.toReversed()) {
      splitter.reset();
      position = yield* readFile(file, { from, skip, splitter, signal: options.signal });
    }
  } finally {
    await closeAll(keep);
  }
  return { at: position, splitter };
}

/** Where a file was left, with the piece of a line that was read of it. */
interface Position {
  readonly at: number;
  readonly splitter: LineSplitter;
}

interface Part {
  readonly file: ChainFile;
  /** Byte to begin with. */
  readonly from: number;
  /** Lines to leave out from there (compressed files cannot be entered in the middle). */
  readonly skip: number;
}

/** Which parts of the chain hold the last lines, newest first. */
async function planTail(chain: readonly ChainFile[], tail: number | undefined): Promise<Part[]> {
  if (tail === undefined) return chain.map((file) => ({ file, from: 0, skip: 0 }));
  const parts: Part[] = [];
  let missing = tail;
  for (const file of chain) {
    const part = await planFile(file, missing);
    parts.push(part);
    missing -= part.lines;
    if (missing <= 0) break;
  }
  return parts;
}

async function planFile(
  file: ChainFile,
  count: number,
): Promise<Part & { readonly lines: number }> {
  if (!file.compressed) {
    const { position, lines } = await tailPosition(file, count);
    return { file, from: position, skip: 0, lines };
  }
  const splitter = new LineSplitter();
  let total = 0;
  for await (const bytes of readFrom(file, 0)) total += splitter.push(bytes).length;
  const lines = Math.min(total, count);
  return { file, from: 0, skip: total - lines, lines };
}

interface ReadFileOptions {
  readonly from: number;
  readonly skip: number;
  readonly splitter: LineSplitter;
  readonly signal: AbortSignal;
}

async function* readFile(
  file: ChainFile,
  options: ReadFileOptions,
): AsyncGenerator<readonly LogLine[], number> {
  let { skip } = options;
  const bytes = readFrom(file, options.from);
  for (;;) {
    const next = await bytes.next();
    if (next.done === true) return next.value;
    if (options.signal.aborted) return options.from;
    const lines = options.splitter.push(next.value);
    const kept = skip === 0 ? lines : lines.slice(skip);
    skip = Math.max(0, skip - lines.length);
    if (kept.length > 0) yield kept;
  }
}

/** Rings when the log's folder changes, and when the container ends or the reader goes. */
interface Bell extends Disposable {
  /** Resolves at the next ring, or at once when it rang since the last wait. */
  rung(): Promise<void>;
  /** No more lines will be written. */
  ended(): boolean;
}

function watchLog(path: string, options: ReadLogOptions): Bell {
  let rang = false;
  let ended = false;
  let waiting: (() => void) | undefined;
  const ring = (): void => {
    rang = true;
    waiting?.();
    waiting = undefined;
  };
  const folder = nodePath.dirname(path);
  const base = nodePath.basename(path);
  const watcher = existsSync(folder)
    ? watch(folder, (_event, name) => {
        if (name === null || name.startsWith(base)) ring();
      })
    : undefined;
  watcher?.on("error", ring);
  const end = (): void => {
    ended = true;
    ring();
  };
  void options.ended.then(end, end);
  options.signal.addEventListener("abort", end, { once: true });
  return {
    async rung() {
      if (!rang) {
        await new Promise<void>((resolve) => {
          waiting = resolve;
        });
      }
      rang = false;
    },
    ended: () => ended,
    [Symbol.dispose]() {
      watcher?.close();
      options.signal.removeEventListener("abort", end);
    },
  };
}

/** Lines that come later: of the file in hand to its end, then of those that followed it. */
async function* follow(
  path: string,
  newest: ChainFile | undefined,
  position: Position,
  bell: Bell,
  options: ReadLogOptions,
): AsyncGenerator<readonly LogLine[]> {
  let file = newest;
  let { at } = position;
  const { splitter } = position;
  const { signal } = options;
  try {
    for (;;) {
      // Asked before the reading: what was written before the end is then read for certain.
      const last = bell.ended();
      if (file !== undefined) {
        at = await afterTruncation(file, at, splitter);
        at = yield* readFile(file, { from: at, skip: 0, splitter, signal });
      }
      const successors = await openSuccessors(path, file);
      if (successors.length > 0) {
        // Whoever rotates has finished with the old file before: its very end is read now.
        if (file !== undefined) yield* readFile(file, { from: at, skip: 0, splitter, signal });
        await file?.handle.close();
        for (const [index, next] of successors.entries()) {
          splitter.reset();
          file = next;
          at = yield* readFile(next, { from: 0, skip: 0, splitter, signal });
          if (index < successors.length - 1) await next.handle.close();
        }
        continue;
      }
      if (last || signal.aborted) return;
      await bell.rung();
    }
  } finally {
    await file?.handle.close();
  }
}

/** A log of one file only is emptied in place. */
async function afterTruncation(
  file: ChainFile,
  at: number,
  splitter: LineSplitter,
): Promise<number> {
  const { size } = await file.handle.stat();
  if (size >= at) return at;
  splitter.reset();
  return 0;
}

/** Files that are newer than the one in hand, oldest first; none while that is the newest. */
async function openSuccessors(path: string, current: ChainFile | undefined): Promise<ChainFile[]> {
  const newest = await openOne(path, false);
  if (newest === undefined) return [];
  if (newest.inode === current?.inode) {
    await newest.handle.close();
    return [];
  }
  await newest.handle.close();
  const chain = await openChain(path, current?.inode);
  if (current === undefined) return chain.toReversed();
  const own = chain.findIndex((file) => file.inode === current.inode);
  // Deleted meanwhile: all are newer. Compressed meanwhile: those are newer that are not compressed yet.
  const newer = own === -1 ? chain.filter((file) => !file.compressed) : chain.slice(0, own);
  await closeAll(chain.filter((file) => !newer.includes(file)));
  return newer.toReversed();
}
