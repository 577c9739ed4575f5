/** What volumes and mounts need from the machine. */
import type { VolumeMount } from "../domain/volume/volume-rules.ts";
import type { FolderWork } from "./metadata.ts";
import type { ImageRootfs } from "./volumes.ts";

/** A volume found on disk. */
export interface FoundVolume {
  readonly name: string;
  /** Nanoseconds since the epoch. */
  readonly createdNano: bigint;
}

/** The mount that a bind's source lies in. */
export interface SourceMount {
  readonly place: string;
  /** What is mounted below is passed on. */
  readonly isShared: boolean;
  /** What others mount below comes in. */
  readonly isSlave: boolean;
}

/** How a volume goes. */
export interface VolumeRemoval {
  /** Moves its files out of sight. No error when they are missing. */
  readonly folders: FolderWork;
  /** Deletes what was moved, in the background. */
  finish(): void;
}

/** The folder of volumes, and mounts on the host. Nothing here waits for a disk more than it must. */
export interface VolumeHost {
  /** Makes the folder; ends what a crash left half done (trash, mounts of images). */
  open(): Promise<void>;
  /** Host path of a volume's files. */
  mountpoint(name: string): string;
  list(): Promise<FoundVolume[]>;
  /**
   * A new volume's folders. What is around its files comes before the record, and is removed at the next start
   * when there is nothing in it; the files' folder after it: without a record it would be adopted, and never be pruned.
   */
  making(name: string): FolderWork;
  /** Makes the volume's directories if missing. */
  ensure(name: string): Promise<void>;
  /** Takes a volume away with its record. */
  removing(name: string): VolumeRemoval;
  /**
   * Fills a volume from a path of the image, if the volume is empty and the path is a directory there:
   * with owners, modes, times, links, extended attributes.
   * Errors: internal; the volume is as it was before.
   */
  fill(name: string, image: ImageRootfs, path: string, signal: AbortSignal): Promise<void>;
  /** Mounts a volume that has driver options, unless it is mounted. Errors: internal with the kernel's words. */
  mount(name: string, mount: VolumeMount): Promise<void>;
  /** Unmounts it; no error when nothing is mounted. */
  unmount(name: string): Promise<void>;
  /** Bytes that the files take. */
  sizeBytes(name: string, signal: AbortSignal): Promise<bigint>;
  /** The first part of a path in a volume that is not there. */
  firstMissing(name: string, subpath: string): Promise<string | undefined>;
  sourceMount(source: string): Promise<SourceMount>;
  /** Whether a bind source exists. */
  exists(path: string): Promise<boolean>;
  /** Makes a directory and what is missing above it. */
  makeDirectory(path: string): Promise<void>;
  /** A read-only view of an image for one mount of a container; returns its host path. */
  mountImage(containerId: string, index: number, image: ImageRootfs): Promise<string>;
  /** IDs of the containers that have views. */
  imageMountOwners(): Promise<string[]>;
  /** Ends the views of a container. */
  unmountImages(containerId: string): Promise<void>;
}
