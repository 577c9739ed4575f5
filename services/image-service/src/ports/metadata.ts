import type { NewEvent } from "@gantry/events";
import type { Digest } from "@gantry/oci";
import type {
  BlobRecord,
  BlobSource,
  ImageRecord,
  LeaseRecord,
  LeaseResource,
  NameRecord,
  SnapshotRecord,
} from "../domain/records.ts";

/**
 * The metadata: all of it in memory for reading, and on disk. Readers see a change when its
 * transaction has been committed.
 */
export interface Metadata {
  readonly images: ReadonlyMap<Digest, ImageRecord>;
  /** By canonical name. */
  readonly names: ReadonlyMap<string, NameRecord>;
  readonly blobs: ReadonlyMap<Digest, BlobRecord>;
  /** By key. */
  readonly snapshots: ReadonlyMap<string, SnapshotRecord>;
  /** By owner. */
  readonly leases: ReadonlyMap<string, LeaseRecord>;
  /** Another number after each change of blobs or layers: what sizes are made of. */
  readonly contentRevision: number;
  /** Names of an image, sorted. The same list until they change. */
  namesOf(image: Digest): readonly NameRecord[];
  /** Images that were made of an image here, by steps of classic builds and commits. */
  childrenOf(image: Digest): ReadonlySet<Digest>;
  /** Repositories on a registry host that are known to hold a blob. */
  sourcesOf(digest: Digest, host: string): readonly string[];
  /** Runs a synchronous change as one transaction: all of it or nothing. */
  change<T>(work: (change: MetadataChange) => T): T;
  /** Resolves when all changes up to now survive a power cut. */
  flush(): Promise<void>;
}

/** What a transaction can do. Reading from Metadata inside one shows the state before it. */
export interface MetadataChange {
  putImage(record: ImageRecord): void;
  deleteImage(digest: Digest): void;
  putName(record: NameRecord): void;
  deleteName(name: string): void;
  putBlob(record: BlobRecord): void;
  deleteBlob(digest: Digest): void;
  putSnapshot(record: SnapshotRecord): void;
  deleteSnapshot(key: string): void;
  /** Makes or extends a lease: resources add up, the expiry is replaced. */
  putLease(owner: string, expiresNano: bigint, resources: readonly LeaseResource[]): void;
  deleteLease(owner: string): void;
  putSource(source: BlobSource): void;
  /** Logs an event in the same transaction. */
  event(event: NewEvent): void;
}
