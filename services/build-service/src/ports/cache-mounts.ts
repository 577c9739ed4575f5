/** Folders that RUN --mount=type=cache keeps between builds. */

/** A cache mount that a RUN wants. */
export interface CacheMountRequest {
  /** With the namespace of the build. */
  readonly id: string;
  readonly sharing: "shared" | "private" | "locked";
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly description: string;
  /** Begin with an empty one. */
  readonly reset: boolean;
  /** Fills a new folder. */
  readonly seed: ((folder: string) => Promise<void>) | undefined;
}

/** A folder in use, until disposed. */
export interface CacheMount extends AsyncDisposable {
  readonly path: string;
}

/** Cache mounts. */
export interface CacheMounts {
  /** Deletes what earlier processes left. */
  cleanUp(): Promise<void>;
  /** Waits for a `locked` one that is in use. */
  take(request: CacheMountRequest, signal: AbortSignal): Promise<CacheMount>;
  /** Deletes a record's folder. */
  remove(recordId: string): Promise<void>;
  /** Whether a record's folder is in use. */
  isUsed(recordId: string): boolean;
  /** Bytes on disk, of all that are not in use. */
  measure(signal: AbortSignal): Promise<void>;
}
