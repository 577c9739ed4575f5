/** Takes the images of an extracted archive into the store: blobs first, then what names them. */
import { open } from "node:fs/promises";
import { invalidArgument, isEngineError } from "@gantry/errors";
import {
  canonicalName,
  type Descriptor,
  type Digest,
  isDigest,
  isIndexType,
  isManifestType,
  maxConfigBytes,
  maxManifestBytes,
  mediaTypes,
  type Platform,
  parseImageConfig,
  parseManifestOrIndex,
  parseReference,
  platformDistance,
  sha256Digest,
  wholeJsonProblem,
  withDefaultTag,
} from "@gantry/oci";
import { type GoType, goMismatch, goTypes } from "../domain/go-json.ts";
import type { AdoptedBlob } from "../ports/content.ts";
import type { Hold } from "./holds.ts";
import { type ArchivedImage, archivedName, decoded, ImageArchive } from "./image-archive.ts";
import type { Store } from "./store.ts";

/** Whether there is a layout. Throws invalid_argument for one of another version. */
function isLayout(bytes: Buffer | undefined): boolean {
  if (bytes === undefined) return false;
  const doing = 'untar oci layout "oci-layout"';
  const value = decoded(bytes, { doing, type: goTypes.layout, limit: maxManifestBytes });
  const { imageLayoutVersion: version = "" } = (value ?? {}) as { imageLayoutVersion?: string };
  if (version !== "" && version !== "1.0.0") {
    throw invalidArgument(`unsupported OCI version ${version}`);
  }
  return version !== "";
}

/** Throws invalid_argument with Go's words for a document that is none of a type. */
function checkDocument(bytes: Buffer, type: GoType, doing = ""): void {
  const text = bytes.toString();
  const problem = wholeJsonProblem(text) ?? goMismatch(JSON.parse(text), type);
  if (problem !== undefined) throw invalidArgument(doing + problem);
}

/** An image whose content is in the store now, without a record yet. */
export interface LoadedTarget {
  readonly target: Pick<Descriptor, "digest" | "mediaType" | "size">;
  /** Canonical. */
  readonly names: readonly string[];
}

/** Takes over what an archive holds. */
export class ArchiveLoader {
  readonly #store: Store;
  readonly #archive: ImageArchive;
  readonly #hold: Hold;
  readonly #platforms: readonly Platform[];
  readonly #arriving = new Map<Digest, Promise<void>>();

  constructor(options: {
    readonly store: Store;
    readonly directory: string;
    readonly hold: Hold;
    readonly platforms: readonly Platform[];
  }) {
    this.#store = options.store;
    this.#archive = new ImageArchive(options.directory);
    this.#hold = options.hold;
    this.#platforms = options.platforms;
  }

  /** Layers that can be read and are not recorded yet, since they are still on their way to the disk. */
  get arriving(): ReadonlyMap<Digest, Promise<void>> {
    return this.#arriving;
  }

  /** Throws invalid_argument for what is no image archive. */
  async load(): Promise<LoadedTarget[]> {
    const archived = await this.#archive.images();
    const layout = await this.#archive.read("oci-layout", maxManifestBytes);
    if (isLayout(layout)) {
      const index = await this.#archive.read("index.json", maxManifestBytes);
      if (index !== undefined) return this.#loadLayout(index, archived ?? []);
      if (archived === undefined) throw invalidArgument("missing index.json in OCI layout 1.0.0");
    }
    if (archived === undefined) throw invalidArgument("unrecognized image format");
    if (archived.length === 0) throw invalidArgument("image might be filtered out");
    const loaded: LoadedTarget[] = [];
    for (const image of archived) loaded.push(await this.#loadArchived(image));
    return loaded;
  }

  async #loadLayout(bytes: Buffer, archived: readonly ArchivedImage[]): Promise<LoadedTarget[]> {
    checkDocument(bytes, goTypes.index);
    const entries = manifestsOf(JSON.parse(bytes.toString()));
    if (entries.length === 0) throw invalidArgument("image might be filtered out");
    for (const { digest = "" } of entries) checkTarget(digest);
    const index = parseManifestOrIndex(bytes, mediaTypes.ociIndex);
    if (index.kind !== "index") throw invalidArgument("index.json: is no index");
    const byDigest = new Map<Digest, { target: Descriptor; names: Set<string> }>();
    for (const entry of index.manifests) {
      const known = byDigest.get(entry.digest) ?? { target: entry, names: new Set() };
      const name = archivedName(entry);
      if (name !== undefined) known.names.add(canonical(name));
      byDigest.set(entry.digest, known);
    }
    const loaded: LoadedTarget[] = [];
    for (const { target, names } of byDigest.values()) {
      const configs = await this.#takeDocument(target, 0);
      for (const image of archived) {
        if (configs.some((digest) => image.Config?.endsWith(digest.slice("sha256:".length)))) {
          for (const name of image.RepoTags ?? []) names.add(canonical(name));
        }
      }
      loaded.push({ target, names: [...names] });
    }
    return loaded;
  }

  /** Takes a manifest or index with all that is there of it; returns its config digests. */
  async #takeDocument(descriptor: Descriptor, depth: number): Promise<Digest[]> {
    if (depth > 3) throw invalidArgument("index: indexes are nested too deep");
    if (!isIndexType(descriptor.mediaType) && !isManifestType(descriptor.mediaType)) {
      throw invalidArgument(`unsupported media type ${descriptor.mediaType} in index.json`);
    }
    if (!(await this.#takeBlob(descriptor, maxManifestBytes))) {
      throw invalidArgument(`invalid archive: content ${descriptor.digest} is missing`);
    }
    await this.#checkDocument(descriptor);
    const document = await this.#store.catalog.document(descriptor.digest, descriptor.mediaType);
    if (document.kind === "manifest") {
      await this.#takeBlob(document.config, maxConfigBytes);
      for (const layer of document.layers) await this.#takeLayerBlob(layer);
      return [document.config.digest];
    }
    const configs: Digest[] = [];
    for (const entry of document.manifests) {
      if (!this.#wanted(entry) || !(await this.#has(entry.digest))) continue;
      configs.push(...(await this.#takeDocument(entry, depth + 1)));
    }
    return configs;
  }

  async #checkDocument({ digest, mediaType }: Descriptor): Promise<void> {
    const bytes = await this.#store.content.read(digest, maxManifestBytes);
    checkDocument(bytes, goTypes.unknownDocument, `children: invalid desc ${digest}: `);
    checkDocument(bytes, isIndexType(mediaType) ? goTypes.index : goTypes.manifest);
  }

  #wanted({ platform }: Descriptor): boolean {
    if (this.#platforms.length === 0 || platform === undefined) return true;
    return this.#platforms.some((each) => platformDistance(each, platform) !== undefined);
  }

  async #has(digest: Digest): Promise<boolean> {
    return (
      this.#store.metadata.blobs.has(digest) || (await this.#archive.findBlob(digest)) !== undefined
    );
  }

  /** Takes a blob over unless it is here. False: the archive does not have it. */
  async #takeBlob(descriptor: Descriptor, limitBytes: number): Promise<boolean> {
    const { digest, size } = descriptor;
    this.#hold.blob(digest);
    if (this.#store.metadata.blobs.has(digest)) return true;
    if (size > limitBytes)
      throw invalidArgument(`content ${digest} is larger than ${limitBytes} bytes`);
    const file = await this.#archive.findBlob(digest);
    if (file === undefined) return false;
    await this.#record(await this.#store.content.adopt(file, { digest, sizeBytes: size }));
    return true;
  }

  /** Takes a layer over that is in the archive and not here. */
  async #takeLayerBlob({ digest, size }: Descriptor): Promise<void> {
    this.#hold.blob(digest);
    if (this.#store.metadata.blobs.has(digest) || this.#arriving.has(digest)) return;
    const file = await this.#archive.findBlob(digest);
    if (file === undefined) return;
    this.#expect(await this.#store.content.adopt(file, { digest, sizeBytes: size }));
  }

  /** Large blobs take their time to the disk: they are unpacked meanwhile. */
  #expect(blob: AdoptedBlob): void {
    const recorded = this.#record(blob);
    // Whoever needs the blob waits for it; one may fail before that.
    recorded.catch(() => undefined);
    this.#arriving.set(blob.digest, recorded);
  }

  async #record({ digest, sizeBytes, durable }: AdoptedBlob): Promise<void> {
    await durable;
    this.#store.metadata.change((change) => {
      change.putBlob({ digest, sizeBytes });
    });
  }

  /** docker-archive: the manifest is ours to make, always the same for the same content. */
  async #loadArchived(image: ArchivedImage): Promise<LoadedTarget> {
    const { Config } = image;
    const Layers = image.Layers ?? [];
    const RepoTags = image.RepoTags ?? [];
    const configBytes = Config ? await this.#archive.read(Config, maxConfigBytes) : undefined;
    if (configBytes === undefined) {
      throw invalidArgument(`image config ${JSON.stringify(Config ?? "")} not found`);
    }
    checkDocument(configBytes, goTypes.platform, "unable to resolve platform: ");
    const config = parseImageConfig(configBytes);
    if (config.rootfs.diff_ids.length !== Layers.length) {
      throw invalidArgument(
        `invalid manifest, layers length mismatch: expected ${config.rootfs.diff_ids.length}, got ${Layers.length}`,
      );
    }
    const layers: Descriptor[] = [];
    for (const [index, name] of Layers.entries()) {
      layers.push(await this.#takeLayer(name, config.rootfs.diff_ids[index]));
    }
    const configDescriptor = await this.#put(configBytes, mediaTypes.ociConfig);
    const manifest = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: configDescriptor,
      layers,
    };
    const target = await this.#put(Buffer.from(JSON.stringify(manifest)), mediaTypes.ociManifest);
    return { target, names: RepoTags.map(canonical) };
  }

  readonly #taken = new Map<string, Descriptor>();
  /** Bytes of the layers that came from this archive. */
  readonly #sizes = new Map<Digest, number>();

  async #takeLayer(name: string, diffId: Digest | undefined): Promise<Descriptor> {
    const known = this.#taken.get(name);
    if (known !== undefined) return known;
    const file = await this.#archive.find(name);
    const descriptor =
      file === undefined ? this.#presentLayer(name, diffId) : await this.#adoptLayer(file);
    this.#taken.set(name, descriptor);
    return descriptor;
  }

  /** The same file under another name has been moved away already: an uncompressed layer is its diff ID. */
  #presentLayer(name: string, diffId: Digest | undefined): Descriptor {
    const size =
      diffId && (this.#sizes.get(diffId) ?? this.#store.metadata.blobs.get(diffId)?.sizeBytes);
    if (diffId === undefined || size === undefined) {
      throw invalidArgument(`failed to resolve layers: layer ${JSON.stringify(name)} not found`);
    }
    this.#hold.blob(diffId);
    return { mediaType: mediaTypes.ociLayer, digest: diffId, size };
  }

  async #adoptLayer(file: string): Promise<Descriptor> {
    const mediaType = await layerType(file);
    const blob = await this.#store.content.adopt(file, {});
    this.#hold.blob(blob.digest);
    this.#sizes.set(blob.digest, blob.sizeBytes);
    this.#expect(blob);
    return { mediaType, digest: blob.digest, size: blob.sizeBytes };
  }

  async #put(bytes: Buffer, mediaType: string): Promise<Descriptor> {
    this.#hold.blob(sha256Digest(bytes));
    const { digest, sizeBytes } = await this.#store.content.write(bytes);
    this.#store.metadata.change((change) => {
      change.putBlob({ digest, sizeBytes });
    });
    return { mediaType, digest, size: sizeBytes };
  }
}

function canonical(name: string): string {
  try {
    return canonicalName(withDefaultTag(parseReference(name)));
  } catch (error) {
    if (!isEngineError(error)) throw error;
    throw invalidArgument(`normalize image ref ${JSON.stringify(name)}: ${error.message}`, {
      cause: error,
    });
  }
}

function manifestsOf(index: unknown): readonly { readonly digest?: string }[] {
  const { manifests } = (index ?? {}) as { manifests?: ({ digest?: string } | null)[] | null };
  return (manifests ?? []).map((each) => each ?? {});
}

function checkTarget(digest: string): void {
  if (isDigest(digest)) return;
  const words = "invalid checksum digest format: invalid argument";
  throw invalidArgument(
    `InvalidArgument: Target.Digest ${JSON.stringify(digest)} invalid: ${words}`,
  );
}

/** By the first bytes: old archives have no word on it. */
async function layerType(file: string): Promise<string> {
  await using handle = await open(file, "r");
  const magic = Buffer.alloc(4);
  await handle.read(magic, 0, magic.length, 0);
  if (magic.readUInt16BE(0) === 0x1f8b) return mediaTypes.ociLayerGzip;
  if (magic.readUInt32LE(0) === 0xfd2fb528) return mediaTypes.ociLayerZstd;
  return mediaTypes.ociLayer;
}
