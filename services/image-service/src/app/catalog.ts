/** Reads images' documents once and keeps what they say. */

import { hasKind, invalidArgument } from "@gantry/errors";
import {
  type Descriptor,
  type Digest,
  type ImageConfig,
  type Index,
  isIndexType,
  type Manifest,
  maxConfigBytes,
  maxIndexEntries,
  maxManifestBytes,
  parseImageConfig,
  parseManifestOrIndex,
} from "@gantry/oci";
import { type ManifestView, type TargetView, viewManifest } from "../domain/image-view.ts";
import type { ContentStore } from "../ports/content.ts";
import type { Metadata } from "../ports/metadata.ts";

/** Indexes in indexes are followed so deep. */
const maxIndexDepth = 3;

/** Config blobs kept in memory, together. */
const keptConfigBytes = 8 * 1024 * 1024;

/** What images say. */
export interface Catalog {
  /** The view of a target that the store has a record or at least the document of. Throws not_found. */
  view(target: Digest): Promise<TargetView>;
  /** The view when it has been read before: for what cannot wait. */
  cached(target: Digest): TargetView | undefined;
  /** To be called when documents came or went: views are read anew. */
  forget(target: Digest): void;
  forgetAll(): void;
  /** A config blob, verbatim. */
  configJson(view: ManifestView): Promise<Buffer>;
  /** A manifest or index that is here. */
  document(digest: Digest, mediaType: string): Promise<Manifest | Index>;
}

export function createCatalog(
  metadata: Pick<Metadata, "images" | "blobs">,
  content: ContentStore,
): Catalog {
  return new DocumentCatalog(metadata, content);
}

class DocumentCatalog implements Catalog {
  readonly #metadata: Pick<Metadata, "images" | "blobs">;
  readonly #content: ContentStore;
  readonly #views = new Map<Digest, TargetView>();
  /** Config blobs in order of first use, bounded together. */
  readonly #configs = new Map<Digest, Buffer>();
  #configBytes = 0;
  readonly #loading = new Map<Digest, Promise<TargetView>>();

  constructor(metadata: Pick<Metadata, "images" | "blobs">, content: ContentStore) {
    this.#metadata = metadata;
    this.#content = content;
  }

  view(target: Digest): Promise<TargetView> {
    const known = this.#views.get(target);
    if (known !== undefined) return Promise.resolve(known);
    const running = this.#loading.get(target);
    if (running !== undefined) return running;
    const loading: Promise<TargetView> = this.#load(target)
      .then((view) => {
        // forget() may have been called meanwhile: then the next asker reads anew.
        if (this.#loading.get(target) === loading) this.#views.set(target, view);
        return view;
      })
      .finally(() => {
        if (this.#loading.get(target) === loading) this.#loading.delete(target);
      });
    this.#loading.set(target, loading);
    return loading;
  }

  cached(target: Digest): TargetView | undefined {
    return this.#views.get(target);
  }

  forget(target: Digest): void {
    this.#views.delete(target);
    this.#loading.delete(target);
  }

  forgetAll(): void {
    this.#views.clear();
    this.#loading.clear();
  }

  async configJson(view: ManifestView): Promise<Buffer> {
    if (view.manifest === undefined) return Buffer.alloc(0);
    const { digest } = view.manifest.config;
    const known = this.#configs.get(digest);
    if (known !== undefined) return known;
    const bytes = await this.#content.read(digest, maxConfigBytes);
    this.#configBytes += bytes.length;
    this.#configs.set(digest, bytes);
    for (const [oldest, old] of this.#configs) {
      if (this.#configBytes <= keptConfigBytes) break;
      this.#configs.delete(oldest);
      this.#configBytes -= old.length;
    }
    return bytes;
  }

  async document(digest: Digest, mediaType: string): Promise<Manifest | Index> {
    return parseManifestOrIndex(await this.#content.read(digest, maxManifestBytes), mediaType);
  }

  async #load(target: Digest): Promise<TargetView> {
    const record = this.#metadata.images.get(target);
    const bytes = await this.#content.read(target, maxManifestBytes);
    const mediaType = record?.mediaType ?? "";
    const document = parseManifestOrIndex(bytes, mediaType);
    const descriptor: Descriptor = {
      mediaType: mediaType || (document.mediaType ?? ""),
      digest: target,
      size: bytes.length,
      ...(document.artifactType !== undefined && { artifactType: document.artifactType }),
    };
    if (document.kind === "manifest") {
      return {
        target: descriptor,
        indexes: [],
        manifests: [await this.#manifestView(descriptor, document)],
      };
    }
    const indexes: Digest[] = [target];
    const manifests: ManifestView[] = [];
    await this.#walk(document, 1, indexes, manifests);
    return { target: descriptor, indexes, manifests };
  }

  async #walk(
    index: Index,
    depth: number,
    indexes: Digest[],
    manifests: ManifestView[],
  ): Promise<void> {
    for (const entry of index.manifests) {
      if (manifests.length >= maxIndexEntries) {
        throw invalidArgument(`index: holds more than ${maxIndexEntries} entries`);
      }
      const document = await this.#present(entry);
      if (document?.kind === "index" && depth < maxIndexDepth) {
        indexes.push(entry.digest);
        await this.#walk(document, depth + 1, indexes, manifests);
      } else if (!isIndexType(entry.mediaType)) {
        const manifest = document?.kind === "manifest" ? document : undefined;
        manifests.push(await this.#manifestView(entry, manifest));
      }
    }
  }

  /** A listed document, or undefined when it is not here or cannot be read: the others still count. */
  async #present(entry: Descriptor): Promise<Manifest | Index | undefined> {
    if (!this.#metadata.blobs.has(entry.digest)) return undefined;
    try {
      return await this.document(entry.digest, entry.mediaType);
    } catch (error) {
      if (hasKind(error, "invalid_argument") || hasKind(error, "not_found")) return undefined;
      throw error;
    }
  }

  async #manifestView(
    descriptor: Descriptor,
    manifest: Manifest | undefined,
  ): Promise<ManifestView> {
    const config = manifest && (await this.#config(manifest));
    return viewManifest(descriptor, manifest, config);
  }

  async #config(manifest: Manifest): Promise<ImageConfig | undefined> {
    try {
      return parseImageConfig(await this.#content.read(manifest.config.digest, maxConfigBytes));
    } catch (error) {
      // An artifact's config is anything, and another platform's may not be here.
      if (hasKind(error, "invalid_argument") || hasKind(error, "not_found")) return undefined;
      throw error;
    }
  }
}
