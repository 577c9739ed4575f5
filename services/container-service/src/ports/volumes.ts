/**
 * The seam between a container's lifecycle and its mounts (volumes, binds, tmpfs, images).
 *
 * Life of a container seen from here:
 *
 *   attach ─► prepareStart ─► release ─► (prepareStart …) ─► detach
 *
 * `attach` at create, after the snapshot is there and before the record is written; on any later
 * failure of the create call `detach` with `removeAnonymous`. `prepareStart` before the launch,
 * `release` once the process is gone (or never came), `detach` at removal. All calls of one container
 * are made inside its own queue. After a restart of the service: `open`, then `reconcile`.
 *
 * Types are plain and shaped so that messages of gantry.container.v1 can be passed in and results put
 * into responses as they are.
 */
import type { NewEvent } from "./metadata.ts";
import type { Values } from "./networking.ts";

/** A mount in Docker's long form (gantry.container.v1.Mount). */
export interface MountRequest {
  readonly type: string;
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
  readonly consistency: string;
  readonly bindOptions?: BindOptions | undefined;
  readonly volumeOptions?: VolumeOptions | undefined;
  readonly tmpfsOptions?: TmpfsOptions | undefined;
  readonly imageOptions?: ImageMountOptions | undefined;
}

export interface BindOptions {
  readonly propagation: string;
  readonly nonRecursive: boolean;
  readonly createMountpoint: boolean;
  readonly readOnlyNonRecursive: boolean;
  readonly readOnlyForceRecursive: boolean;
}

export interface VolumeOptions {
  readonly noCopy: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly driverName: string;
  readonly driverOptions: Readonly<Record<string, string>>;
  readonly subpath: string;
}

export interface TmpfsOptions {
  readonly sizeBytes: bigint;
  readonly mode: number;
  readonly options: readonly Values[];
}

export interface ImageMountOptions {
  readonly subpath: string;
}

/** What a container asks for, from its merged configuration. */
export interface MountedContainer {
  /** 64 hex digits. */
  readonly id: string;
  /** Config.Volumes, merged with the image's: absolute paths. */
  readonly volumes: readonly string[];
  readonly binds?: Values | undefined;
  readonly mounts: readonly MountRequest[];
  /** Destination to options. */
  readonly tmpfs: Readonly<Record<string, string>>;
  readonly volumesFrom?: Values | undefined;
  /** Driver for binds that name a volume, empty = local. */
  readonly volumeDriver: string;
  /** Config.WorkingDir, clean, or empty. The image may have no file there. */
  readonly workingDir: string;
}

/** The image's file system for copy-up: overlay lower directories, uppermost first. */
export interface ImageRootfs {
  readonly lowerDirs: readonly string[];
}

/** A mount as inspect shows it (gantry.container.v1.MountPoint). */
export interface MountPointView {
  readonly type: string;
  readonly name: string;
  readonly source: string;
  /** As inspect shows it: a volume of the image may have a relative one. */
  readonly destination: string;
  /** Where it is. */
  readonly place: string;
  readonly driver: string;
  readonly mode: string;
  readonly rw: boolean;
  readonly propagation: string;
}

/** What create gets back. */
export interface AttachedMounts {
  /** In inspect's order (by destination). */
  readonly mountPoints: readonly MountPointView[];
  readonly warnings: readonly string[];
  /** The image has nothing where the working directory is to be. */
  readonly lacksWorkingDir: boolean;
}

/** A mount of the OCI runtime-spec, for the bundle's config.json. */
export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: string[];
}

/** What start gets back. */
export interface PreparedMounts {
  /** Sorted by depth of destination; to be put after the default mounts. */
  readonly mounts: OciMount[];
  /**
   * Propagation that the container's root needs for its shared or slave binds: `rshared`, `rslave`,
   * or empty for the default.
   */
  readonly rootfsPropagation: string;
}

/** Which image a mount shows. */
export interface ShownImage {
  /** Digest of the image. */
  readonly id: string;
  /** Digest of its manifest for this machine. */
  readonly manifestDigest: string;
}

/** An image that can be mounted. */
export interface OpenedImage extends ImageRootfs {
  readonly image: ShownImage;
}

/** Images that are mounted into containers. Implemented over image-service. */
export interface MountedImages {
  /**
   * Makes sure that the image's file system is there and stays while the container exists (lease
   * owner = container ID). Errors: not_found.
   */
  open(reference: string, containerId: string, signal: AbortSignal): Promise<OpenedImage>;
}

/** A container whose volumes are wanted by volumes-from. Implemented by the lifecycle. */
export interface VolumesFromDirectory {
  /** Full ID of a container by ID, name or prefix; throws Docker's not_found. */
  resolveId(reference: string): string;
}

/** Mounts, for the lifecycle. */
export interface Volumes {
  /** Reads the records and adopts volumes found on disk without one. Called once at boot. */
  open(): Promise<void>;

  /**
   * After adoption: `live` are the IDs of the containers that run, `known` all with a record. What
   * belongs to others is let go; their anonymous volumes are kept.
   */
  reconcile(live: ReadonlySet<string>, known: ReadonlySet<string>): Promise<void>;

  /**
   * Checks a new container's mounts, makes the volumes that are missing, fills empty ones from the
   * image, and keeps a reference to each. Events `volume create` are committed here.
   * Errors: invalid_argument with Docker's texts; never not_found (the CLI would take it for a
   * missing image). After an error no volume that was made by this call is left.
   */
  attach(
    container: MountedContainer,
    image: ImageRootfs,
    apiVersion: string,
    signal: AbortSignal,
  ): Promise<AttachedMounts>;

  /**
   * Makes the mounts ready: volumes with driver options are mounted, bind sources of `-v` are made,
   * subpaths resolved. Errors: invalid_argument, internal. After an error nothing is held.
   */
  prepareStart(containerId: string, signal: AbortSignal): Promise<PreparedMounts>;

  /**
   * The events `volume mount` of what a start has made ready and nobody released, to be committed
   * before the event `start`, or before those of `release` when the start failed.
   */
  mounted(containerId: string): readonly NewEvent[];

  /**
   * The process is gone, or its launch failed. Idempotent. The events `volume unmount` are to be
   * committed before the event `die`.
   */
  release(containerId: string): readonly NewEvent[];

  /**
   * The container is removed: drops its references, and its anonymous volumes when asked to (those of
   * volumes-from stay). Idempotent. Resolves when the events `volume destroy` are committed.
   */
  detach(containerId: string, removeAnonymous: boolean): Promise<void>;

  /** For inspect and list; from memory. Unknown containers give none. The same list until it changes. */
  mountPoints(containerId: string): readonly MountPointView[];

  /** Images that the container mounts: they are in use as long as it exists. */
  mountedImages(containerId: string): readonly ShownImage[];

  /** Whether the container mounts that volume name or has that destination: list filter `volume`. */
  mounts(containerId: string, nameOrDestination: string): boolean;

  /** The engine ends: unmounts what `prepareStart` mounted. Containers must be stopped. */
  teardownHost(): Promise<void>;
}
