/** Archives of files in a container's root, made and read by the sandboxed unpack program. */
import { EngineError } from "@gantry/errors";

/**
 * A container's file system as the program sees it: the mount namespace of a running process, or a
 * folder on the host with everything mounted below it.
 */
export type RootView =
  | {
      readonly kind: "process";
      readonly pid: number;
      readonly startTicks: bigint;
      /** Directories that are seen without what is mounted on and below them. */
      readonly hidden: readonly string[];
    }
  | { readonly kind: "folder"; readonly path: string };

/** A path of a container. */
export interface StatResult {
  readonly name: string;
  readonly sizeBytes: bigint;
  /** st_mode. */
  readonly mode: number;
  readonly mtimeNano: bigint;
  /** Where a symbolic link leads inside the root, else empty. */
  readonly linkTarget: string;
  /** The path with every link followed; what does not exist is taken by its name. */
  readonly resolved: string;
}

/** What to pack. */
export interface PackOptions {
  readonly path: string;
  /** Name of the first entry; undefined: only what a directory holds. */
  readonly name: string | undefined;
  /** Mounts below are packed, too (volumes). */
  readonly withMounts: boolean;
}

/** Where to extract. */
export interface ApplyOptions {
  readonly path: string;
  readonly noOverwriteDirNonDir: boolean;
  /** Docker's user string, looked up in the root: owner of everything, instead of the archive's. */
  readonly owner: string | undefined;
}

/** What the program says about a failure. */
export interface ArchiveFailure {
  readonly step: string;
  /** 0 when no system call failed. */
  readonly errno: number;
  readonly path: string;
  readonly message: string;
}

/** Thrown where the program failed in its own words: a missing path, a malformed archive, a full disk. */
export class ArchiveError extends Error {
  override readonly name = "ArchiveError";
  readonly failure: ArchiveFailure;

  constructor(failure: ArchiveFailure) {
    // Of a system call that failed the program says step and path itself.
    super(
      failure.errno === 0 ? `${failure.step} ${failure.path}: ${failure.message}` : failure.message,
    );
    this.failure = failure;
  }
}

/** The process whose file system was to be looked at has ended: a conflict, unless its end is waited for. */
export class RootGoneError extends EngineError {
  override readonly name = "RootGoneError";

  constructor(options: { readonly cause?: unknown } = {}) {
    super("conflict", "container is not running", options);
  }
}

/** The program. All throw RootGoneError, ArchiveError, or internal when it did not do its work at all. */
export interface Archives {
  stat(view: RootView, path: string, signal: AbortSignal): Promise<StatResult>;
  /**
   * Looks a user up as the start of a process does. A name or number that is none is an ArchiveError of step `user`.
   * @param user `user[:group]`, by name or number
   */
  findUser(view: RootView, user: string, signal: AbortSignal): Promise<void>;
  /**
   * Offers a connection that gets a tar from the program, past this process.
   * @param signal ends the offer and the work.
   */
  pack(view: RootView, options: PackOptions, signal: AbortSignal): OfferedWork;
  /** The same for one that brings a tar (compressed or not). */
  apply(view: RootView, options: ApplyOptions, signal: AbortSignal): OfferedWork;
}

/** A program that waits for a connection. */
export interface OfferedWork {
  readonly endpoint: { readonly path: string; readonly ticket: Uint8Array };
  /** Resolves when all is done; rejects as the program says, also when nobody came for 30 s. */
  readonly done: Promise<void>;
}

/** What is mounted below a root. */
export interface RootBind {
  /** Host path. */
  readonly source: string;
  /** Path below the source, resolved inside it; empty: the source itself. */
  readonly subpath: string;
  readonly destination: string;
  readonly readOnly: boolean;
  /** With the mounts below the source. */
  readonly recursive: boolean;
  /** Left out when there is no source. */
  readonly optional?: boolean;
}

/** File systems of containers that do not run, mounted for as long as they are looked at. */
export interface RootMounts {
  /**
   * Mounts an overlay and binds below it. Destinations and `folders` are resolved inside the root, and
   * made where they are missing. Dispose to unmount.
   */
  mount(
    id: string,
    overlay: {
      readonly lowerDirs: readonly string[];
      readonly upperDir: string;
      readonly workDir: string;
    },
    binds: readonly RootBind[],
    folders: readonly string[],
  ): Promise<{ readonly path: string } & AsyncDisposable>;
  /** Unmounts what an engine that was killed left. */
  cleanUp(): Promise<void>;
}
