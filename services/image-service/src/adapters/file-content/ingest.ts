/** One unfinished write: a file that only grows, hashed as it grows. */
import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { invalidArgument } from "@gantry/errors";
import type { Digest } from "@gantry/oci";
import type { CommittedBlob, ExpectedBlob, Ingest } from "../../ports/content.ts";

/** Bytes read at once when an earlier write is hashed again. */
const readChunkBytes = 1024 * 1024;

/** What an ingest needs to know of its store. */
export interface IngestPlace {
  /** File that grows. */
  readonly path: string;
  readonly algorithm: string;
  /** Where a blob goes. */
  readonly blobPath: (digest: Digest) => string;
  /** Makes the blobs' names durable. */
  readonly syncBlobs: () => Promise<void>;
  /** Called once, when the write has ended. */
  readonly onEnd: () => void;
}

/** Opens the file and hashes what an earlier write left in it. */
export async function openIngest(place: IngestPlace): Promise<Ingest> {
  const handle = await open(place.path, "a+", 0o600);
  try {
    const hash = createHash(place.algorithm);
    const offset = await hashExisting(handle, hash);
    return new FileIngest(place, handle, hash, offset);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Feeds a whole file to a hash; returns its size. */
export async function hashExisting(handle: FileHandle, hash: Hash): Promise<number> {
  const { size } = await handle.stat();
  if (size === 0) return 0;
  const buffer = Buffer.allocUnsafe(readChunkBytes);
  let offset = 0;
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, offset);
    if (bytesRead === 0) return offset;
    hash.update(buffer.subarray(0, bytesRead));
    offset += bytesRead;
  }
}

class FileIngest implements Ingest {
  offset: number;
  whole = false;
  ended = false;
  failure: Error | undefined;
  path: string;
  readonly #place: IngestPlace;
  readonly #handle: FileHandle;
  #hash: Hash;
  #change = Promise.withResolvers<undefined>();

  constructor(place: IngestPlace, handle: FileHandle, hash: Hash, offset: number) {
    this.#place = place;
    this.path = place.path;
    this.#handle = handle;
    this.#hash = hash;
    this.offset = offset;
  }

  async append(chunks: readonly Uint8Array[]): Promise<void> {
    let size = 0;
    for (const chunk of chunks) {
      this.#hash.update(chunk);
      size += chunk.length;
    }
    const { bytesWritten } = await this.#handle.writev(chunks as Uint8Array[]);
    if (bytesWritten < size) await this.#appendRest(chunks, bytesWritten);
    this.offset += size;
    this.#notify();
  }

  /** writev may stop early, for example where the disk becomes full; the next write says why. */
  async #appendRest(chunks: readonly Uint8Array[], skip: number): Promise<void> {
    await this.#handle.appendFile(Buffer.concat(chunks).subarray(skip));
  }

  async grown(position: number, signal: AbortSignal): Promise<void> {
    while (this.offset <= position && !this.whole && !this.ended && !signal.aborted) {
      const aborted = Promise.withResolvers<undefined>();
      const onAbort = (): void => {
        aborted.resolve(undefined);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      await Promise.race([this.#change.promise, aborted.promise]);
      signal.removeEventListener("abort", onAbort);
    }
  }

  async untilEnd(): Promise<void> {
    while (!this.ended) await this.#change.promise;
  }

  async commit(expected: ExpectedBlob): Promise<CommittedBlob> {
    const { algorithm } = this.#place;
    const digest = `${algorithm}:${this.#hash.digest("hex")}` as Digest;
    const sizeBytes = this.offset;
    const problem = blobDifference(expected, digest, sizeBytes);
    if (problem !== undefined) {
      await this.discard(problem);
      throw problem;
    }
    // Whoever follows the bytes has them all now; only names and durability are still to come.
    this.whole = true;
    this.#notify();
    try {
      await this.#handle.datasync();
      const file = this.#place.blobPath(digest);
      await rename(this.path, file);
      this.path = file;
      await this.#place.syncBlobs();
    } catch (error) {
      await this.discard(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
    await this.#end(undefined);
    return { digest, sizeBytes };
  }

  async suspend(reason: Error): Promise<void> {
    await this.#end(reason);
  }

  async discard(reason: Error): Promise<void> {
    if (this.ended) return;
    try {
      await rm(this.path, { force: true });
    } finally {
      await this.#end(reason);
    }
  }

  async restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.#hash = createHash(this.#place.algorithm);
    this.offset = 0;
  }

  async #end(failure: Error | undefined): Promise<void> {
    if (this.ended) return;
    this.ended = true;
    this.failure = failure;
    this.#place.onEnd();
    this.#notify();
    await this.#handle.close();
  }

  #notify(): void {
    this.#change.resolve(undefined);
    this.#change = Promise.withResolvers();
  }
}

/** What is wrong with a blob, if anything. */
export function blobDifference(
  expected: ExpectedBlob,
  digest: Digest,
  sizeBytes: number,
): Error | undefined {
  if (expected.sizeBytes !== undefined && expected.sizeBytes !== sizeBytes) {
    return invalidArgument(
      `unexpected commit size ${sizeBytes}, expected ${expected.sizeBytes}: failed precondition`,
    );
  }
  if (expected.digest !== undefined && expected.digest !== digest) {
    return invalidArgument(
      `unexpected commit digest ${digest}, expected ${expected.digest}: failed precondition`,
    );
  }
  return undefined;
}
