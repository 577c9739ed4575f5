/**
 * Blobs as files:
 *
 *   content/blobs/<algorithm>/<hex>   whole, verified, read-only
 *   content/ingest/<sha256 of name>   unfinished; kept for a day, so that a pull can resume
 *   content/ingest/received-<id>      being written by a program of ours; gone at the next start
 *   content/blocks                    what is known of packed layers' blocks
 *   content/.trash/…                  archives that are being loaded; blobs that start-up found without a row
 */
import { createHash, randomUUID } from "node:crypto";
import {
  chmodSync,
  closeSync,
  constants,
  fdatasync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { conflict, hasErrno, internal, invalidArgument, notFound } from "@gantry/errors";
import { sharedWork, syncFolder } from "@gantry/fs";
import type { Logger } from "@gantry/logging";
import { type Digest, digestAlgorithm, digestHex, sha256Digest } from "@gantry/oci";
import type {
  AdoptedBlob,
  CommittedBlob,
  ContentStore,
  ExpectedBlob,
  Ingest,
  PackFiles,
} from "../../ports/content.ts";
import { type ScratchFolder, Trash } from "../trash.ts";
import { BlockIndexes } from "./block-indexes.ts";
import { blobDifference, hashExisting, openIngest } from "./ingest.ts";

const algorithms = ["sha256", "sha512"] as const;

/** So many blobs are remembered, of so many bytes at most. */
const keptBlobs = 16;
const keptBlobBytes = 16 * 1024;

/** Unfinished writes that nobody resumed for so long are removed at start-up. */
const keepIngestMs = 24 * 60 * 60 * 1000;

/** Opens the content folder of a data folder. */
export function openContentStore(dataDir: string, logger: Logger): ContentStore {
  const root = path.join(dataDir, "content");
  const blobsDir = path.join(root, "blobs");
  const ingestDir = path.join(root, "ingest");
  for (const dir of [root, blobsDir, ingestDir, ...algorithms.map((a) => path.join(blobsDir, a))]) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    chmodSync(dir, 0o700);
  }
  removeOldIngests(ingestDir);
  const indexes = new BlockIndexes(path.join(root, "blocks"), path.join(blobsDir, "sha256"));
  return new FileContentStore({ blobsDir, ingestDir, indexes, trash: new Trash(root, logger) });
}

function removeOldIngests(ingestDir: string): void {
  const oldest = Date.now() - keepIngestMs;
  for (const name of readdirSync(ingestDir)) {
    const file = path.join(ingestDir, name);
    if (/^(removed|received)-/.test(name) || statSync(file).mtimeMs < oldest)
      rmSync(file, { recursive: true, force: true });
  }
}

interface ContentParts {
  readonly blobsDir: string;
  readonly ingestDir: string;
  readonly indexes: BlockIndexes;
  readonly trash: Trash;
}

class FileContentStore implements ContentStore {
  readonly blobsDir: string;
  readonly #ingestDir: string;
  readonly #indexes: BlockIndexes;
  readonly #fresh = new Map<Digest, Buffer>();
  readonly #trash: Trash;
  readonly #open = new Set<string>();
  /** By folder of blobs: blobs that are complete at the same time share one sync of it. */
  readonly #syncs: ReadonlyMap<string, () => Promise<void>>;

  constructor({ blobsDir, ingestDir, indexes, trash }: ContentParts) {
    this.blobsDir = blobsDir;
    this.#trash = trash;
    this.#indexes = indexes;
    this.#syncs = new Map(
      algorithms.map((algorithm) => {
        const folder = path.join(blobsDir, algorithm);
        return [algorithm, sharedWork(() => syncFolder(folder))];
      }),
    );
    this.#ingestDir = ingestDir;
  }

  pathOf(digest: Digest): string {
    return `${this.blobsDir}/${digestAlgorithm(digest)}/${digestHex(digest)}`;
  }

  async open(digest: Digest): Promise<FileHandle> {
    try {
      return await open(this.pathOf(digest), "r");
    } catch (error) {
      if (hasErrno(error, "ENOENT")) throw missing(digest, error);
      throw error;
    }
  }

  async read(digest: Digest, limitBytes: number): Promise<Buffer> {
    const fresh = this.#fresh.get(digest);
    if (fresh !== undefined && fresh.length <= limitBytes) return fresh;
    await using handle = await this.open(digest);
    const { size } = await handle.stat();
    if (size > limitBytes) {
      throw invalidArgument(`content ${digest} is larger than ${limitBytes} bytes`);
    }
    return await handle.readFile();
  }

  async ingest(name: string, algorithm = "sha256"): Promise<Ingest> {
    const file = this.#ingestPath(name);
    if (this.#open.has(file)) throw conflict(`a write of ${name} is under way`);
    this.#open.add(file);
    const onEnd = (): void => {
      this.#open.delete(file);
    };
    try {
      return await openIngest({
        path: file,
        algorithm,
        blobPath: (digest) => this.pathOf(digest),
        syncBlobs: () => this.#sync(algorithm),
        onEnd,
      });
    } catch (error) {
      onEnd();
      throw error;
    }
  }

  async ingestOffset(name: string): Promise<number | undefined> {
    try {
      return (await stat(this.#ingestPath(name))).size;
    } catch (error) {
      if (hasErrno(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  async adopt(file: string, expected: ExpectedBlob): Promise<AdoptedBlob> {
    const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const { digest, sizeBytes } = await hashFile(handle);
      const problem = blobDifference(expected, digest, sizeBytes);
      if (problem !== undefined) throw problem;
      await handle.chown(0, 0);
      await handle.chmod(0o600);
      await rename(file, this.pathOf(digest));
      return { digest, sizeBytes, durable: this.#settle(handle, digest) };
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async #settle(handle: FileHandle, digest: Digest): Promise<void> {
    try {
      await handle.datasync();
    } finally {
      await handle.close();
    }
    await this.#sync(digestAlgorithm(digest));
  }

  async receive<T extends CommittedBlob>(
    like: readonly Digest[],
    write: (files: PackFiles) => Promise<T>,
  ): Promise<T> {
    const layer = path.join(this.#ingestDir, `received-${randomUUID()}`);
    const index = `${layer}-blocks`;
    const known = this.#indexes.indexed(like);
    const likes = known.map((digest) => ({
      layer: this.pathOf(digest),
      index: this.#indexes.pathOf(digest),
    }));
    try {
      await using handle = await open(layer, "wx", 0o600);
      await this.#indexes.begin(index);
      const blob = await write({ layer, index, likes });
      await handle.datasync();
      await rename(layer, this.pathOf(blob.digest));
      await this.#indexes.keep(index, blob.digest);
      await this.#sync(digestAlgorithm(blob.digest));
      return blob;
    } catch (error) {
      await Promise.all([layer, index].map((file) => rm(file, { force: true })));
      throw error;
    }
  }

  async write(bytes: Uint8Array, expected = sha256Digest(bytes)): Promise<CommittedBlob> {
    const algorithm = digestAlgorithm(expected);
    const digest = `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}` as Digest;
    const problem = blobDifference(
      { digest: expected, sizeBytes: bytes.length },
      digest,
      bytes.length,
    );
    if (problem !== undefined) throw problem;
    const file = path.join(this.#ingestDir, `received-${randomUUID()}`);
    try {
      await writeDurably(file, bytes);
      renameSync(file, this.pathOf(digest));
    } catch (error) {
      rmSync(file, { force: true });
      throw error;
    }
    await this.#sync(algorithm);
    return { digest, sizeBytes: bytes.length };
  }

  remember(digest: Digest, bytes: Uint8Array): void {
    if (bytes.length > keptBlobBytes) return;
    this.#fresh.set(digest, Buffer.from(bytes));
    for (const oldest of this.#fresh.keys()) {
      if (this.#fresh.size <= keptBlobs) break;
      this.#fresh.delete(oldest);
    }
  }

  remove(digest: Digest): void {
    this.#fresh.delete(digest);
    // Out of the way at once, so that a blob of that digest can come again; the rest can wait.
    const doomed = path.join(this.#ingestDir, `removed-${randomUUID()}`);
    try {
      renameSync(this.pathOf(digest), doomed);
    } catch (error) {
      if (hasErrno(error, "ENOENT")) return;
      throw error;
    }
    this.#indexes.remove(digest);
    // What stays is removed by a later start.
    rm(doomed, { force: true }).catch(() => undefined);
  }

  disown(file: string): void {
    this.#trash.keep(file);
  }

  scratch(): ScratchFolder {
    return this.#trash.scratch();
  }

  async #sync(algorithm: string): Promise<void> {
    const sync = this.#syncs.get(algorithm);
    if (sync === undefined) throw internal(`there is no folder of ${algorithm} blobs`);
    await sync();
  }

  #ingestPath(name: string): string {
    return path.join(this.#ingestDir, createHash("sha256").update(name).digest("hex"));
  }
}

const dataSync = promisify(fdatasync);

/** Documents are small: all but the flush is done at once, without a way through the thread pool for each call. */
async function writeDurably(file: string, bytes: Uint8Array): Promise<void> {
  const fd = openSync(file, "wx", 0o600);
  try {
    writeFileSync(fd, bytes);
    await dataSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** sha256 and size of a file. */
async function hashFile(handle: FileHandle): Promise<CommittedBlob> {
  const hash = createHash("sha256");
  const sizeBytes = await hashExisting(handle, hash);
  return { digest: `sha256:${hash.digest("hex")}` as Digest, sizeBytes };
}

function missing(digest: Digest, cause: unknown): Error {
  return notFound("content", digest, `content ${digest}: not found`, { cause });
}
