/**
 * How networks and volumes keep their records and tell their events: small JSON documents in
 * named collections, written with the events they cause in one transaction. The container
 * store's database implements this; there is one writer per service, so commits are applied in
 * the order of the calls.
 */
import { EngineError } from "@gantry/errors";
import type { NewEvent } from "@gantry/events";

export type { NewEvent };

/** One change of one document. `value` is any JSON value; `undefined` removes the document. */
export interface DocumentChange {
  /** Collection: `network`, `endpoint`, `volume`, `container-mounts`. */
  readonly collection: string;
  /** Key within the collection: an ID or a name. */
  readonly key: string;
  readonly value: unknown;
}

/** One change of a folder. */
export type FolderStep =
  /** Made unless it is there; what is above it must be. */
  | { readonly make: string; readonly mode: number }
  /** Moved; no error when it is missing. */
  | { readonly move: string; readonly to: string };

/**
 * Folders that come and go with a commit. The thread that writes records changes them, too: a thread of
 * their own for each step would cost more than the steps.
 */
export interface FolderWork {
  /** Where one fails, the others are taken back, and nothing is written; so they are when the write fails. */
  readonly before?: readonly FolderStep[];
  /** When the records are written. Where one fails, these stay: FoldersMissing. */
  readonly after?: readonly FolderStep[];
}

/** The records are written, but what `after` asked for could not be done. */
export class FoldersMissing extends EngineError {
  constructor(cause: EngineError) {
    super(cause.kind, cause.message, { cause });
  }
}

/** What a commit must reach before it resolves. */
export interface CommitOptions {
  /** True: on stable storage. False (default): handed to the database, safe from a crash of ours. */
  readonly durable?: boolean;
  readonly folders?: FolderWork;
}

/** The documents of networks and volumes. */
export interface MetadataStore {
  /** All documents of a collection by key, parsed. Called at boot only, before any commit. */
  load(collection: string): ReadonlyMap<string, unknown>;
  /**
   * Applies changes and appends events in one transaction. The order of calls is the order of
   * transactions, whether or not they are awaited. Rejects with `internal` when the disk refuses,
   * and as FolderWork says.
   */
  commit(
    changes: readonly DocumentChange[],
    events: readonly NewEvent[],
    options?: CommitOptions,
  ): Promise<void>;
}
