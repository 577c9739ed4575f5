/** What the store keeps about images, content, snapshots and leases. */
import type { Digest } from "@gantry/oci";

/** An image: the target of zero or more names. Without names it is dangling. */
export interface ImageRecord {
  /** Digest of the index or manifest; the image ID. */
  readonly digest: Digest;
  readonly mediaType: string;
  readonly sizeBytes: number;
  /** When it came into the store, nanoseconds. */
  readonly addedNano: bigint;
  /** Image that it was made of here, by a step of a classic build or a commit; empty: not known. It may have gone. */
  readonly parent: Digest | "";
  /** Of the descriptor that names it; undefined: none. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** A name of an image. */
export interface NameRecord {
  /** Canonical: `docker.io/library/busybox:latest`, or with `@sha256:…`. */
  readonly name: string;
  readonly digest: Digest;
  readonly taggedNano: bigint;
}

/** A whole, verified blob. */
export interface BlobRecord {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** `layer`: an unpacked chain, its key is the chain ID. `active`: writable. `view`: read-only, no files of its own. */
export type SnapshotKind = "layer" | "active" | "view";

/** A file system tree. */
export interface SnapshotRecord {
  /** Number of its folder. */
  readonly id: number;
  readonly key: string;
  readonly kind: SnapshotKind;
  /** Chain ID below it, or empty. */
  readonly parent: string;
  /** Bytes on disk of a layer; 0 for the others, which change. */
  readonly sizeBytes: number;
  readonly inodes: number;
  readonly createdNano: bigint;
  /** Lease owner that it belongs to, or empty. */
  readonly leaseOwner: string;
  /** The boot of the machine in which a layer was unpacked, until its files are known to be on disk; else empty. */
  readonly unsyncedBoot: string;
}

/** What a lease can protect. */
export type LeaseResourceType = "image" | "blob" | "snapshot";

/** One protected thing: an image ID, a blob digest or a snapshot key. */
export interface LeaseResource {
  readonly type: LeaseResourceType;
  readonly id: string;
}

/** Protection of things that no image refers to (yet, or any more). */
export interface LeaseRecord {
  readonly owner: string;
  readonly resources: readonly LeaseResource[];
  /** Nanoseconds since the epoch, 0 = never. */
  readonly expiresNano: bigint;
}

/** Where a blob can be had from, for cross-repository mounts: `host/repository`. */
export interface BlobSource {
  readonly digest: Digest;
  readonly host: string;
  readonly repository: string;
}

/** Leases of ours, which keep what a broken pull fetched, begin with this. */
export const partialLeasePrefix = "~partial:";
