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

/** What a volume is filled from. */
export interface FillSource {
  readonly image: ImageRootfs;
  /** In the image. */
  readonly path: string;
  /** The image or the configuration declares the volume: that there is a file is told in other words. */
  readonly declared: boolean;
  /** Path below the volume's files that is filled, or empty. One that is missing is left to the start. */
  readonly subpath: string;
  /** Of a volume with driver options: what is filled. It stays mounted, for the caller to unmount. */
  readonly mount?: VolumeMount | undefined;
}

/** The folder of volumes, and mounts on the host. Nothing here waits for a disk more than it must. */
export interface VolumeHost {
  /**
   * Makes the folder; ends what a crash left half done (trash, mounts of images).
   * @param recorded names of the volumes that there are records of
   */
  open(recorded: readonly string[]): Promise<void>;
  /** Host path of a volume's files. */
  mountpoint(name: string): string;
  list(): Promise<FoundVolume[]>;
  /**
   * A new volume's folders. What is around its files comes before the record, and is removed at the next start
   * when there is nothing in it; the files' folder after it: without a record it would be adopted, and never be pruned.
   */
  making(name: string): FolderWork;
  /** Makes the directory of the files if a crash came before it. False when the volume's whole folder is missing. */
  ensure(name: string): Promise<boolean>;
  /** Takes a volume away with its record. What is mounted on its files refuses it: EBUSY. */
  removing(name: string): VolumeRemoval;
  /**
   * Fills a volume from a path of the image, if the volume is empty and the path is there:
   * with owners, modes, times, links, extended attributes.
   * Errors: internal (also for what is no directory), those of resolveSubpath; a volume without driver options is as it
   * was before.
   */
  fill(name: string, from: FillSource, signal: AbortSignal): Promise<void>;
  /** Whether the image has this directory. Errors: internal (a file is in the place of a working directory, or above it). */
  hasWorkingFolder(image: ImageRootfs, folder: string): Promise<boolean>;
  /** Mounts a volume that has driver options, unless it is mounted. Errors: internal with the kernel's words. */
  mount(name: string, mount: VolumeMount): Promise<void>;
  /** Unmounts it; no error when nothing is mounted. */
  unmount(name: string): Promise<void>;
  /** Bytes that the files take. */
  sizeBytes(name: string, signal: AbortSignal): Promise<bigint>;
  /**
   * A path below a volume's or an image's files with its links followed, relative to them.
   * Errors: not_found, invalid_argument (it leads out), internal; with Docker's texts.
   */
  resolveSubpath(base: string, subpath: string): Promise<string>;
  sourceMount(source: string): Promise<SourceMount>;
  /** Whether a bind source is there, or cannot be: what is to be a directory above it is none. */
  lookUp(path: string): Promise<"there" | "missing" | "below-a-file">;
  /** Makes a directory and what is missing above it. */
  makeDirectory(path: string): Promise<void>;
  /** A read-only view of an image for one mount of a container; returns its host path. */
  mountImage(containerId: string, index: number, image: ImageRootfs): Promise<string>;
  /** IDs of the containers that have views. */
  imageMountOwners(): Promise<string[]>;
  /** Ends the views of a container. */
  unmountImages(containerId: string): Promise<void>;
}
