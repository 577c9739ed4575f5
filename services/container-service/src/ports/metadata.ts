/**
 * How networks and volumes keep their records and tell their events: small JSON documents in
 * named collections, written with the events they cause in one transaction. The container
 * store's database implements this; there is one writer per service, so commits are applied in
 * the order of the calls.
 */
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

/** What a commit must reach before it resolves. */
export interface CommitOptions {
  /** True: on stable storage. False (default): handed to the database, safe from a crash of ours. */
  readonly durable?: boolean;
}

/** The documents of networks and volumes. */
export interface MetadataStore {
  /** All documents of a collection by key, parsed. Called at boot only, before any commit. */
  load(collection: string): ReadonlyMap<string, unknown>;
  /**
   * Applies changes and appends events in one transaction. The order of calls is the order of
   * transactions, whether or not they are awaited. Rejects with `internal` when the disk refuses.
   */
  commit(
    changes: readonly DocumentChange[],
    events: readonly NewEvent[],
    options?: CommitOptions,
  ): Promise<void>;
}
