import type { Digest } from "@gantry/oci";
import type { Ingest, PackFiles } from "./content.ts";

/** Where a layer's bytes come from: a blob's file, or a write that still grows. */
export type LayerSource =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "ingest"; readonly ingest: Ingest };

/** Limits on what an archive may become. */
export interface UnpackLimits {
  readonly maxBytes: number;
  readonly maxEntries: number;
  readonly maxRatio: number;
}

/** What unpacking found. */
export interface UnpackedLayer {
  readonly digest: Digest;
  readonly diffId: Digest;
  readonly compression: string;
  readonly compressedBytes: number;
  readonly uncompressedBytes: number;
  readonly diskBytes: number;
  readonly entries: number;
  /** Whether the archive says itself what the top directory looks like. */
  readonly describesTop: boolean;
}

/** What packing made. */
export interface PackedLayer {
  readonly digest: Digest;
  readonly diffId: Digest;
  readonly compressedBytes: number;
  readonly uncompressedBytes: number;
}

/** One changed path: 0 modified, 1 added, 2 deleted. */
export interface ChangedPath {
  readonly path: string;
  readonly kind: number;
}

/** The sandboxed program that reads and writes archives. Nothing is cleaned up after a failure. */
export interface LayerProgram {
  /**
   * Unpacks a layer as an overlay upper directory.
   * @param lowers directories below, the uppermost first
   * @param lowersReady resolves when these are complete, rejects when they never will be; absent: they
   * are. Only a layer that leaves out its directories' parents waits for it.
   */
  unpack(request: {
    readonly source: LayerSource;
    readonly directory: string;
    readonly lowers: readonly string[];
    readonly lowersReady?: Promise<void> | undefined;
    readonly limits: UnpackLimits;
    readonly signal: AbortSignal;
  }): Promise<UnpackedLayer>;
  /** Extracts a plain archive (of any compression) that arrives as chunks. */
  extract(request: {
    readonly input: AsyncIterable<Uint8Array>;
    readonly directory: string;
    readonly limits: UnpackLimits;
    readonly signal: AbortSignal;
  }): Promise<void>;
  /** Packs an overlay upper directory as a gzip layer. */
  pack(request: {
    readonly directory: string;
    readonly files: PackFiles;
    readonly signal: AbortSignal;
  }): Promise<PackedLayer>;
  /** Compares an upper directory with what is below it, uppermost first. */
  changes(request: {
    readonly upper: string;
    readonly lowers: readonly string[];
    readonly signal: AbortSignal;
  }): Promise<readonly ChangedPath[]>;
}
