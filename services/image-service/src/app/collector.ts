/**
 * Garbage collection: mark and sweep over records.
 *
 *   roots   images, unexpired leases, holds of running operations, writable snapshots and views
 *   edges   index → manifests → config and layers; manifest → its chain of layers; snapshot → parent
 *
 * Rows go first and files after them: a crash between the two leaves files that no row owns, which
 * the next start moves to the trash.
 */
import { sharedWork } from "@gantry/fs";
import type { Logger } from "@gantry/logging";
import type { Digest } from "@gantry/oci";
import { referencedBlobs, type TargetView } from "../domain/image-view.ts";
import type { SnapshotRecord } from "../domain/records.ts";
import type { ContentStore } from "../ports/content.ts";
import type { Metadata } from "../ports/metadata.ts";
import type { SnapshotDirs } from "../ports/snapshot-dirs.ts";
import type { Catalog } from "./catalog.ts";
import type { Holds } from "./holds.ts";

/** A container's end releases several things at once, and the way of a short `docker run` is no place to collect. */
const scheduleDelayMs = 500;

/** What a collection gave back. */
export interface Collected {
  readonly blobs: readonly Digest[];
  readonly layers: readonly string[];
  readonly bytes: number;
}

/** The collector. */
export interface Collector {
  /** Collects now. Calls during a collection share the one that follows. */
  collect(): Promise<Collected>;
  /** Collects soon, in the background: many calls make one collection. */
  schedule(): void;
  /** Resolves when nothing is under way; what was scheduled is done first. */
  idle(): Promise<void>;
}

export interface CollectorDeps {
  readonly metadata: Metadata;
  readonly content: ContentStore;
  readonly dirs: SnapshotDirs;
  readonly catalog: Catalog;
  readonly holds: Holds;
  readonly logger: Logger;
  readonly nowNano: () => bigint;
}

export function createCollector(deps: CollectorDeps): Collector {
  return new MarkAndSweep(deps);
}

class MarkAndSweep implements Collector {
  readonly #deps: CollectorDeps;
  readonly #collected = sharedWork(() => this.#run());
  #scheduled: NodeJS.Timeout | undefined;

  constructor(deps: CollectorDeps) {
    this.#deps = deps;
  }

  collect(): Promise<Collected> {
    return this.#collected();
  }

  schedule(): void {
    this.#scheduled ??= setTimeout(() => {
      this.#collectScheduled();
    }, scheduleDelayMs).unref();
  }

  #collectScheduled(): void {
    clearTimeout(this.#scheduled);
    this.#scheduled = undefined;
    this.collect().catch((error: unknown) => {
      this.#deps.logger.error({ err: error }, "garbage collection failed");
    });
  }

  async idle(): Promise<void> {
    if (this.#scheduled !== undefined) this.#collectScheduled();
    await this.#collected.settled();
  }

  async #run(): Promise<Collected> {
    this.#dropExpiredLeases();
    // Views are read with waiting in between, so this repeats until a whole marking goes without.
    for (;;) {
      const missing = this.#unreadTargets();
      if (missing.length === 0) break;
      for (const target of missing) await this.#read(target);
    }
    return this.#sweep();
  }

  readonly #unreadable = new Set<Digest>();

  async #read(target: Digest): Promise<void> {
    try {
      await this.#deps.catalog.view(target);
      this.#unreadable.delete(target);
    } catch (error) {
      // Its own blob stays, since its record does; what it refers to cannot be known.
      this.#deps.logger.error({ err: error, image: target }, "image cannot be read");
      this.#unreadable.add(target);
    }
  }

  #dropExpiredLeases(): void {
    const now = this.#deps.nowNano();
    const { metadata } = this.#deps;
    const expired = [...metadata.leases.values()].filter(
      ({ expiresNano }) => expiresNano !== 0n && expiresNano <= now,
    );
    if (expired.length === 0) return;
    metadata.change((change) => {
      for (const { owner } of expired) change.deleteLease(owner);
    });
  }

  *#rootTargets(): Generator<Digest> {
    yield* this.#deps.metadata.images.keys();
    yield* this.#deps.holds.images();
    for (const lease of this.#deps.metadata.leases.values()) {
      for (const { type, id } of lease.resources) if (type === "image") yield id as Digest;
    }
  }

  #unreadTargets(): Digest[] {
    const { catalog, metadata } = this.#deps;
    return [...this.#rootTargets()].filter(
      (target) =>
        catalog.cached(target) === undefined &&
        !this.#unreadable.has(target) &&
        metadata.blobs.has(target),
    );
  }

  /** Synchronous from the first mark to the last row, so that nothing can come in between. */
  #sweep(): Collected {
    const { metadata } = this.#deps;
    const { blobs, chains } = this.#mark();
    const deadBlobs = [...metadata.blobs.values()].filter(({ digest }) => !blobs.has(digest));
    const deadLayers = [...metadata.snapshots.values()].filter(
      ({ key, kind }) => kind === "layer" && !chains.has(key),
    );
    if (deadBlobs.length + deadLayers.length === 0) return { blobs: [], layers: [], bytes: 0 };
    metadata.change((change) => {
      for (const { digest } of deadBlobs) change.deleteBlob(digest);
      for (const { key } of deadLayers) change.deleteSnapshot(key);
    });
    this.#removeFiles(
      deadBlobs.map(({ digest }) => digest),
      deadLayers,
    );
    const sum = (all: readonly { readonly sizeBytes: number }[]): number =>
      all.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
    return {
      blobs: deadBlobs.map(({ digest }) => digest),
      layers: deadLayers.map(({ key }) => key),
      bytes: sum(deadBlobs) + sum(deadLayers),
    };
  }

  #removeFiles(blobs: readonly Digest[], layers: readonly SnapshotRecord[]): void {
    const { content, dirs } = this.#deps;
    for (const { id } of layers) dirs.remove(id);
    for (const digest of blobs) content.remove(digest);
  }

  #mark(): { blobs: ReadonlySet<Digest>; chains: ReadonlySet<string> } {
    const { metadata, catalog, holds } = this.#deps;
    const blobs = new Set<Digest>(holds.blobs());
    const chains = new Set<string>();
    const markChain = (key: string): void => {
      for (let at = key; at !== "" && !chains.has(at); ) {
        chains.add(at);
        at = metadata.snapshots.get(at)?.parent ?? "";
      }
    };
    for (const target of this.#rootTargets()) {
      blobs.add(target);
      const view = catalog.cached(target);
      if (view !== undefined) markView(view, blobs, markChain);
    }
    for (const lease of metadata.leases.values()) {
      for (const { type, id } of lease.resources) {
        if (type === "blob") blobs.add(id as Digest);
        else if (type === "snapshot") markChain(id);
      }
    }
    for (const key of holds.snapshots()) markChain(key);
    for (const { key, kind } of metadata.snapshots.values()) if (kind !== "layer") markChain(key);
    return { blobs, chains };
  }
}

function markView(view: TargetView, blobs: Set<Digest>, markChain: (key: string) => void): void {
  for (const digest of referencedBlobs(view)) blobs.add(digest);
  for (const { chain } of view.manifests) for (const key of chain) markChain(key);
}
