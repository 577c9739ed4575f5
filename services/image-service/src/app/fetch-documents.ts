/** Fetches manifests, indexes and configs: small, bounded, verified before they are kept. */
import { EngineError, invalidArgument, notFound } from "@gantry/errors";
import {
  type Descriptor,
  type Digest,
  formatPlatform,
  type Index,
  isDigest,
  type Manifest,
  maxConfigBytes,
  maxManifestBytes,
  normalizePlatform,
  type Platform,
  parseManifestOrIndex,
  platformDistance,
} from "@gantry/oci";
import { chooseEntry } from "../domain/image-view.ts";
import type { RemoteManifest, Repository } from "../ports/registry.ts";
import type { Hold } from "./holds.ts";
import type { Store } from "./store.ts";

/** A target whose documents are here, for one platform. */
export interface FetchedTarget {
  readonly target: Descriptor;
  readonly manifest: Manifest;
  readonly manifestDescriptor: Descriptor;
}

/** Indexes in indexes are followed so deep. */
const maxDepth = 3;

export class DocumentFetcher {
  readonly #store: Store;
  readonly #repository: Repository;
  readonly #hold: Hold;
  readonly #signal: AbortSignal;

  constructor(store: Store, repository: Repository, hold: Hold, signal: AbortSignal) {
    this.#store = store;
    this.#repository = repository;
    this.#hold = hold;
    this.#signal = signal;
  }

  /** What a tag or digest points to: taken from here when the registry only has to name it. */
  async target(tagOrDigest: string): Promise<Descriptor> {
    const head = await this.#repository.resolve(tagOrDigest, this.#signal);
    const digest = isDigest(tagOrDigest) ? tagOrDigest : head.digest;
    if (digest !== undefined) {
      this.#hold.blob(digest);
      const blob = this.#store.metadata.blobs.get(digest);
      if (blob !== undefined) {
        const mediaType = this.#store.metadata.images.get(digest)?.mediaType ?? head.mediaType;
        return { digest, mediaType, size: blob.sizeBytes };
      }
    }
    const remote = await this.#repository.manifest(digest ?? tagOrDigest, this.#signal);
    const document = parseManifestOrIndex(remote.bytes, remote.mediaType);
    await this.#keep(remote);
    return {
      digest: remote.digest,
      mediaType: remote.mediaType || document.mediaType || defaultType(document),
      size: remote.bytes.length,
    };
  }

  /** The manifest for a platform. Throws not_found with Docker's words. */
  async manifest(target: Descriptor, platform: Platform, strict: boolean): Promise<FetchedTarget> {
    let descriptor = target;
    for (let depth = 0; depth <= maxDepth; depth++) {
      const document = await this.#document(descriptor);
      if (document.kind === "manifest") {
        await this.#config(document, descriptor, platform, strict && depth === 0);
        return { target, manifest: document, manifestDescriptor: descriptor };
      }
      descriptor = chooseFrom(document, platform);
    }
    throw invalidArgument("index: indexes are nested too deep");
  }

  async #document(descriptor: Descriptor): Promise<Manifest | Index> {
    this.#hold.blob(descriptor.digest);
    if (this.#store.metadata.blobs.has(descriptor.digest)) {
      return this.#store.catalog.document(descriptor.digest, descriptor.mediaType);
    }
    if (descriptor.size > maxManifestBytes) {
      throw invalidArgument(`manifest is larger than ${maxManifestBytes} bytes`);
    }
    const remote = await this.#repository.manifest(descriptor.digest, this.#signal);
    if (remote.bytes.length !== descriptor.size) {
      throw invalidArgument(
        `manifest ${descriptor.digest} has ${remote.bytes.length} bytes, and its descriptor says ${descriptor.size}`,
      );
    }
    const document = parseManifestOrIndex(remote.bytes, descriptor.mediaType);
    await this.#keep(remote);
    return document;
  }

  async #keep({ bytes, digest }: RemoteManifest): Promise<void> {
    this.#hold.blob(digest);
    const blob = await this.#store.content.write(bytes);
    this.#store.metadata.change((change) => {
      change.putBlob(blob);
    });
  }

  /** Configs are small and decide on the rest, so they come before the layers. */
  async #config(
    manifest: Manifest,
    descriptor: Descriptor,
    platform: Platform,
    strict: boolean,
  ): Promise<void> {
    const { digest, size } = manifest.config;
    if (size > maxConfigBytes)
      throw invalidArgument(`image config is larger than ${maxConfigBytes} bytes`);
    this.#hold.blob(digest);
    if (!this.#store.metadata.blobs.has(digest)) await this.#fetchConfig(digest, size);
    this.#store.catalog.forget(descriptor.digest);
    const view = await this.#store.catalog.view(descriptor.digest);
    const own = view.manifests[0]?.platform;
    if (!strict || own === undefined || platformDistance(platform, own) !== undefined) return;
    throw notFound(
      "image",
      descriptor.digest,
      `image was found but does not match the specified platform: wanted ${formatPlatform(platform)}, ` +
        `actual: ${formatPlatform(normalizePlatform(own))}`,
    );
  }

  async #fetchConfig(digest: Digest, size: number): Promise<void> {
    const remote = await this.#repository.blob(digest, 0, this.#signal);
    const chunks: Uint8Array[] = [];
    let received = 0;
    for await (const chunk of remote.bytes) {
      received += chunk.length;
      if (received > size)
        throw invalidArgument(`image config is larger than its descriptor's ${size} bytes`);
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    if (bytes.length < size) throw new EngineError("internal", "image config: unexpected EOF");
    const blob = await this.#store.content.write(bytes, digest);
    this.#store.metadata.change((change) => {
      change.putBlob(blob);
    });
  }
}

function chooseFrom(index: Index, platform: Platform): Descriptor {
  const entry = chooseEntry(index, platform) ?? onlyUnnamed(index);
  if (entry !== undefined) return entry;
  throw notFound(
    "image",
    "",
    `no matching manifest for ${formatPlatform(platform)} in the manifest list entries`,
  );
}

/** An index of one manifest without a platform: its config will say. */
function onlyUnnamed(index: Index): Descriptor | undefined {
  const [first, ...more] = index.manifests.filter(({ platform }) => platform === undefined);
  return more.length === 0 ? first : undefined;
}

function defaultType(document: Manifest | Index): string {
  return document.kind === "index"
    ? "application/vnd.oci.image.index.v1+json"
    : "application/vnd.oci.image.manifest.v1+json";
}
