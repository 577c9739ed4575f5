/** The machine, as containers need it. */
import type { BlockDeviceNumbers, GrantedDevice } from "../domain/bundle/bundle-input.ts";
import type { DeviceMapping } from "../domain/nouns.ts";

/** Devices of the host. */
export interface HostDevices {
  /**
   * Nodes of a mapping: one, or all of a folder.
   * Errors: internal (`error gathering device information while adding custom device "…": …`).
   */
  resolve(mapping: DeviceMapping): GrantedDevice[];
  /** Every device under /dev, for privileged containers. */
  all(): GrantedDevice[];
  /** Numbers of block devices by path. Errors: invalid_argument for a path that is none, internal where nothing is. */
  blockDevices(paths: readonly string[]): BlockDeviceNumbers;
}

/** Paths of one container. */
export interface ContainerPaths {
  /** `<data>/containers/<id>`. */
  readonly dir: string;
  /** config.json goes here. */
  readonly bundle: string;
  readonly exitRecord: string;
  readonly log: string;
  /** Where a tmpfs is mounted for a shareable /dev/shm. */
  readonly shm: string;
}

/** Folders of containers. */
export interface ContainerFolders {
  paths(id: string): ContainerPaths;
  containerDir(id: string): string;
  /** Makes the container's folder, 0710. */
  make(id: string): Promise<void>;
  /** Writes config.json, and waits for no flush. A second start needs no more space on the disk than the first. */
  writeBundle(id: string, json: string): Promise<void>;
  /** Moves the folder out of the way and deletes it after. Idempotent. */
  remove(id: string): Promise<void>;
  /** IDs that have a folder. */
  list(): Promise<string[]>;
  /** Mounts a tmpfs at `paths.shm`, unless one is there. */
  mountShm(id: string, sizeBytes: bigint): Promise<void>;
  /** Unmounts it; no error when there is none. */
  unmountShm(id: string): Promise<void>;
}
