import type { FileHandle } from "node:fs/promises";
import type { Digest } from "@gantry/oci";

/** A write that is not finished: its bytes are on disk, and hashed as they come. */
export interface Ingest {
  /** Bytes written. */
  readonly offset: number;
  /** File that holds them; another one after commit. */
  readonly path: string;
  /** All bytes are there, and verified. */
  readonly whole: boolean;
  /** Appends. One call at a time. */
  append(chunks: readonly Uint8Array[]): Promise<void>;
  /** Resolves when `offset` is beyond `position`, no more bytes come, or the signal aborts. */
  grown(position: number, signal: AbortSignal): Promise<void>;
  /** Resolves when the write has ended, one way or the other. */
  untilEnd(): Promise<void>;
  /** Whether no more bytes come: finished or given up. */
  readonly ended: boolean;
  /** Set when it was given up. */
  readonly failure: Error | undefined;
  /**
   * Verifies, makes durable and names the blob; a failed check throws data-dependent errors
   * (invalid_argument) and removes the bytes.
   */
  commit(expected: ExpectedBlob): Promise<CommittedBlob>;
  /** Ends without a blob, keeping the bytes for a later resume. */
  suspend(reason: Error): Promise<void>;
  /** Ends without a blob and removes the bytes. */
  discard(reason: Error): Promise<void>;
  /** Throws away what has been written, to begin anew at 0. */
  restart(): Promise<void>;
}

/** What must come out of an ingest; unknown where undefined. */
export interface ExpectedBlob {
  readonly digest?: Digest | undefined;
  readonly sizeBytes?: number | undefined;
}

/** What came out. */
export interface CommittedBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** What a layer is packed into, and from. */
export interface PackFiles {
  /** Empty. */
  readonly layer: string;
  /** For the index of its blocks; has its head. */
  readonly index: string;
  /** Earlier layers and their indexes: equal blocks need not be compressed anew. */
  readonly likes: readonly { readonly layer: string; readonly index: string }[];
}

/** A blob that can be read and is on its way to the disk. */
export interface AdoptedBlob extends CommittedBlob {
  /** Resolves when it survives a power cut. To be waited for, by somebody. */
  readonly durable: Promise<void>;
}

/** Files of blobs, by digest. Records of them are the Metadata's. */
export interface ContentStore {
  pathOf(digest: Digest): string;
  /** Throws not_found. */
  open(digest: Digest): Promise<FileHandle>;
  /** Folder of all blobs, with a folder for each algorithm. */
  readonly blobsDir: string;
  /** A whole small blob. Throws not_found, and invalid_argument beyond the limit. */
  read(digest: Digest, limitBytes: number): Promise<Buffer>;
  /** Opens a write by name, with the bytes that an earlier one of that name left. Throws conflict while it is open elsewhere. */
  ingest(name: string, algorithm?: string): Promise<Ingest>;
  /** Bytes that an unfinished write holds. Undefined: there is none. */
  ingestOffset(name: string): Promise<number | undefined>;
  /**
   * Takes over a file of ours on the same disk as a blob: verified and moved; it can be read then, and
   * may be recorded when it is durable. Throws invalid_argument when it is not what was expected; the
   * file stays then.
   */
  adopt(file: string, expected: ExpectedBlob): Promise<AdoptedBlob>;
  /**
   * Has one of our own programs pack a layer into a file: what it says of the bytes is believed, and the
   * blob is named when it is durable. Nothing stays of a write that fails.
   * @param like blobs that may have much in common with it; somebody has to keep them meanwhile
   */
  receive<T extends CommittedBlob>(
    like: readonly Digest[],
    write: (files: PackFiles) => Promise<T>,
  ): Promise<T>;
  /**
   * Writes a small blob. Nothing stays of a write that fails.
   * @param expected default: their SHA-256. Throws invalid_argument for bytes of another digest
   */
  write(bytes: Uint8Array, expected?: Digest): Promise<CommittedBlob>;
  /** Keeps the bytes of a blob that is here in memory for a while, if it is small: it will be read soon. */
  remember(digest: Digest, bytes: Uint8Array): void;
  /** Takes a blob away at once; its bytes are freed in the background. */
  remove(digest: Digest): void;
  /** Takes a blob's file that nobody knows of out of sight; it is kept for a day. */
  disown(file: string): void;
  /** An empty folder on the disk of the blobs, deleted in the background when disposed. */
  scratch(): Disposable & { readonly path: string };
}
