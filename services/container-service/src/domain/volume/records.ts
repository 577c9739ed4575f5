/** What is kept of volumes and mounts. These are the documents in the database: plain JSON. */

/** Collection `volume`, key: name. */
export interface VolumeRecord {
  readonly name: string;
  /** `local`. */
  readonly driver: string;
  /** Nanoseconds since the epoch, decimal. */
  readonly createdNano: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  /** Whether these were given, if only empty; absent: they were not. */
  readonly given?: { readonly labels: boolean; readonly options: boolean };
}

/** Label of volumes that were made without a name. */
export const anonymousLabel = "com.docker.volume.anonymous";

export function isAnonymous(volume: VolumeRecord): boolean {
  return Object.hasOwn(volume.labels, anonymousLabel);
}

export type MountType = "bind" | "volume" | "tmpfs" | "image";

/** One mount of a container. */
export interface MountRecord {
  readonly type: MountType;
  /** Volume name, or empty. */
  readonly name: string;
  /** Host path (bind), image reference (image), or empty. */
  readonly source: string;
  readonly destination: string;
  /** Inspect's word for the destination, when that was relative. */
  readonly shownAs?: string | undefined;
  /** Volume driver, or empty. */
  readonly driver: string;
  /** Mode words as inspect shows them. */
  readonly mode: string;
  readonly rw: boolean;
  /** Propagation word, or empty. */
  readonly propagation: string;
  /** Nobody asked for it: a source that allows no such propagation is no error. */
  readonly isPropagationChosen?: boolean;
  /** Path below the source, or empty. */
  readonly subpath: string;
  /** Mounts below the source are not taken along. */
  readonly nonRecursive: boolean;
  readonly readOnly: ReadOnlyMode;
  /** Options that exclude each other, for the error at start. */
  readonly conflict?: string | undefined;
  /** The source directory is made when it is missing (`-v`, and `create-mountpoint`). */
  readonly createSource: boolean;
  /** Options of a tmpfs. */
  readonly tmpfsOptions: readonly string[];
  /** Shown by inspect (HostConfig.Tmpfs is not). */
  readonly listed: boolean;
  /** HostConfig.Tmpfs has the same destination: this one is shown, but not mounted. */
  readonly covered?: boolean;
  /** Of a mounted image, as it was when the container was made; absent in records of older engines. */
  readonly image?: { readonly id: string; readonly manifestDigest: string } | undefined;
  /** The volume goes with the container when that is asked for. */
  readonly anonymous: boolean;
}

/** How deep read-only goes: not at all below the mount itself, where the kernel can, or surely. */
export type ReadOnlyMode = "shallow" | "deep-if-possible" | "deep";

/** Collection `container-mounts`, key: container ID. */
export interface ContainerMounts {
  readonly containerId: string;
  /** Sorted by destination. */
  readonly mounts: readonly MountRecord[];
}
