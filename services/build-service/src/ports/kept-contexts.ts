/** Received contexts that are kept for the next build: part of the cache, in what it shows and deletes. */
import type { CacheRecord } from "./build.ts";

/** All of them. */
export interface KeptContexts {
  /** As records of type `source.local`. */
  list(): Promise<readonly CacheRecord[]>;
  /** Deletes one. @returns false, and does nothing, while it is in use */
  remove(id: string): Promise<boolean>;
}
