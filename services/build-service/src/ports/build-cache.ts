/** What is remembered between builds: results by key, packed layers, what cache mounts there are. */

/** A result that is kept. */
export interface CacheEntry {
  readonly id: string;
  /** Layer; empty for what is no tree. */
  readonly snapshot: string;
  /** Key by which its children know it. */
  readonly key: string;
  readonly type: "regular" | "exec.cachemount";
  readonly description: string;
  readonly sizeBytes: number;
  readonly createdNano: bigint;
  readonly lastUsedNano: bigint;
  readonly usageCount: number;
}

/** The blob of a layer that was packed or pulled. */
export interface KnownLayer {
  readonly diffId: string;
  readonly digest: string;
  readonly mediaType: string;
  readonly sizeBytes: number;
}

/** Survives restarts and kills: each method is one transaction. */
export interface BuildCache extends Disposable {
  /** A result by any of its keys. It is not idle. */
  find(key: string): CacheEntry | undefined;
  /** Counts one more use of a result. */
  use(id: string): void;
  /** All keys of a result. */
  keysOf(id: string): string[];
  /** Keeps a result under keys, which may have belonged to others. */
  put(entry: Omit<CacheEntry, "usageCount" | "lastUsedNano">, keys: readonly string[]): void;
  /** A further key for a result. */
  addKey(key: string, id: string): void;
  remove(id: string): void;
  list(): CacheEntry[];
  /** A layer got another key. */
  renameLayer(from: string, to: string): void;
  /** Sets the size of an entry. */
  resize(id: string, sizeBytes: number): void;
  /** Blob of a layer by chain ID. */
  layer(chainId: string): KnownLayer | undefined;
  /** Digests of the newest blobs of steps that read like that of a layer: earlier results of the same step, as a rule. */
  blobsLike(snapshot: string): string[];
  putLayer(chainId: string, layer: KnownLayer): void;
  /** Steps that change no files, seen before? Remembers it. */
  sawStep(id: string): boolean;
  /**
   * When a step that changes no files was done. What is unknown is done now.
   * @param anew it is done again
   */
  stepTimeMs(id: string, anew: boolean): number;
  /** Sums of unchanged files. */
  readonly fileSums: {
    get(identity: string): string | undefined;
    set(identity: string, sum: string): void;
  };
}
