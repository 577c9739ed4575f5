/** What containers need from image-service. Implemented over gRPC. */
import type { RootfsMount, UsedImage } from "../domain/container-record.ts";
import type { ImageConfig } from "../domain/image-config.ts";
import type { MountedImages } from "./volumes.ts";

/** An image to run. */
export interface ResolvedImage {
  readonly image: UsedImage;
  readonly config: ImageConfig;
  /** The platform isn't the host's: a warning is due. Empty, or the platform's name. */
  readonly foreignPlatform: string;
}

/** One container's use of an image. */
export interface ImageUse {
  readonly containerId: string;
  readonly imageId: string;
  readonly reference: string;
  readonly running: boolean;
  readonly manifestDigest: string;
}

/** A changed path: 0 modified, 1 added, 2 deleted. */
export interface PathChange {
  readonly path: string;
  readonly kind: number;
}

/** Bytes of a snapshot, as du counts them. */
export interface SnapshotUsage {
  readonly ownBytes: bigint;
  readonly totalBytes: bigint;
}

/** What a commit makes an image of. */
export interface CommitRequest {
  readonly containerId: string;
  readonly parentImage: string;
  readonly parentManifest: string;
  /** OCI image config's `config` object as JSON. */
  readonly configJson: string;
  readonly author: string;
  readonly comment: string;
  readonly createdBy: string;
  readonly repository: string;
  readonly tag: string;
  readonly changes: readonly string[];
}

/** Images and snapshots, for the lifecycle. Everything may throw unavailable. */
export interface Images extends MountedImages {
  /**
   * Finds what to run and protects it for the container (lease owner).
   * @param platform `os[/arch[/variant]]`, or empty for the host's.
   * Errors: not_found with Docker's words, invalid_argument (reference, platform).
   */
  resolve(
    reference: string,
    platform: string,
    containerId: string,
    signal: AbortSignal,
  ): Promise<ResolvedImage>;
  /** A writable snapshot with the container's ID as key. Idempotent. */
  prepareSnapshot(containerId: string, chainId: string, signal: AbortSignal): Promise<RootfsMount>;
  /** Removes the container's snapshots and its lease, later while image-service is away. Idempotent. */
  discard(containerId: string): Promise<void>;
  /** Keys of snapshots and owners of leases that look like container IDs: for the clean-up at boot. */
  listOwners(): Promise<string[]>;
  usage(containerId: string, signal: AbortSignal): Promise<SnapshotUsage>;
  changes(containerId: string, signal: AbortSignal): Promise<PathChange[]>;
  /** Makes an image; returns its ID. */
  commit(request: CommitRequest, signal: AbortSignal): Promise<string>;
  /** Tells soon which images are in use; the list is asked for when it is sent, once for many calls. */
  setUsers(uses: () => readonly ImageUse[]): void;
  /** Resolves when everything has been told, or image-service is away. */
  usersTold(): Promise<void>;
  /**
   * Calls back whenever names may point elsewhere (also when image-service is there again), until the
   * signal aborts. Never rejects.
   */
  watchNames(onChange: () => void, signal: AbortSignal): Promise<void>;
  /** IDs of an image and of all that were made of it; empty when there is no such image. */
  derivedIds(reference: string, signal: AbortSignal): Promise<ReadonlySet<string>>;
  /** ID that a reference points to now, or undefined when there is no such image. */
  currentId(reference: string, signal: AbortSignal): Promise<string | undefined>;
}
