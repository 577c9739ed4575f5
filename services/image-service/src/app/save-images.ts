/** `docker save`: one archive that is an OCI layout and a docker-archive. The same images give the same bytes. */
import { notFound } from "@gantry/errors";
import {
  type Descriptor,
  type Digest,
  digestAlgorithm,
  digestHex,
  familiarName,
  formatPlatform,
  mediaTypes,
  type Platform,
  parseReference,
  platformDistance,
} from "@gantry/oci";
import {
  chooseManifest,
  contentOf,
  isAvailable,
  type ManifestView,
  type TargetView,
} from "../domain/image-view.ts";
import { tarEnd, tarHeader, tarPadding } from "../domain/tar-header.ts";
import { type FoundImage, findImages, shownName } from "./find-image.ts";
import type { Hold } from "./holds.ts";
import { eventAttributes } from "./record-image.ts";
import type { Store } from "./store.ts";

/** Bytes read at once. */
const chunkBytes = 1024 * 1024;

/** What an archive will hold; made before the first byte, so that errors come before it. */
export interface SavePlan extends Disposable {
  /** The archive's bytes. */
  readonly bytes: (signal: AbortSignal) => AsyncGenerator<Uint8Array>;
}

interface PlannedImage {
  readonly target: TargetView;
  readonly views: readonly ManifestView[];
  /** Canonical. */
  readonly names: Set<string>;
  readonly chosen: ManifestView | undefined;
}

/** Throws not_found for a missing image or platform. */
export async function planSave(
  store: Store,
  images: readonly string[],
  platforms: readonly Platform[],
): Promise<SavePlan> {
  const hold = store.holds.open();
  try {
    const planned = new Map<Digest, PlannedImage>();
    for (const text of images) {
      const all = findImages(store.metadata, text);
      for (const { image } of all) hold.image(image.digest);
      for (const found of all) {
        const known = planned.get(found.image.digest);
        const image = known ?? (await planImage(store, text, found, platforms, hold));
        planned.set(found.image.digest, image);
        addNames(store, found, image.names);
      }
    }
    const all = [...planned.values()];
    return {
      bytes: (signal) => writeArchive(store, all, signal),
      [Symbol.dispose]: () => {
        hold[Symbol.dispose]();
      },
    };
  } catch (error) {
    hold[Symbol.dispose]();
    throw error;
  }
}

/** By name, that name is saved; by ID, none, as with Docker. */
function addNames(_store: Store, found: FoundImage, names: Set<string>): void {
  if (found.name !== undefined && !found.name.includes("@")) names.add(found.name);
}

async function planImage(
  store: Store,
  text: string,
  { image }: FoundImage,
  platforms: readonly Platform[],
  hold: Hold,
): Promise<PlannedImage> {
  const target = await store.catalog.view(image.digest);
  const has = (digest: Digest): boolean => store.metadata.blobs.has(digest);
  const wanted = (view: ManifestView): boolean =>
    platforms.length === 0 ||
    platforms.some(
      (each) => view.platform !== undefined && platformDistance(each, view.platform) !== undefined,
    );
  const views = target.manifests.filter(
    (view) =>
      isAvailable(view, has) &&
      (wanted(view) || (view.kind === "attestation" && platforms.length === 0)),
  );
  const missing = platforms.find(
    (each) =>
      !views.some(({ platform }) => platform && platformDistance(each, platform) !== undefined),
  );
  if (missing !== undefined) {
    throw notFound(
      "image",
      text,
      `no suitable export target found: image with reference ${text} was found but does not provide ` +
        `the specified platform (${formatPlatform(missing)})`,
    );
  }
  if (
    !views.some(({ kind }) => kind === "image") &&
    target.manifests.some((v) => v.kind === "image")
  ) {
    throw notFound("image", text, `no content of image ${shownName(text)} is present`);
  }
  for (const view of views) {
    hold.blob(view.descriptor.digest);
    for (const { digest } of contentOf(view)) hold.blob(digest);
  }
  const chosen = chooseManifest({ ...target, manifests: views }, platforms[0] ?? store.host, {
    strict: false,
    has,
  })?.view;
  return { target, views, names: new Set(), chosen };
}

async function* writeArchive(
  store: Store,
  images: readonly PlannedImage[],
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const written = new Set<Digest>();
  yield tarHeader({ name: "blobs/", sizeBytes: 0, directory: true });
  yield tarHeader({ name: "blobs/sha256/", sizeBytes: 0, directory: true });
  for (const image of images) {
    for (const digest of blobsOf(image)) {
      if (written.has(digest)) continue;
      written.add(digest);
      yield* writeBlob(store, digest, signal);
    }
  }
  yield* writeJson("index.json", layoutIndex(images));
  yield* writeJson("manifest.json", dockerManifest(images));
  yield* writeJson("oci-layout", { imageLayoutVersion: "1.0.0" });
  yield tarEnd();
  logSaved(store, images);
}

function* blobsOf(image: PlannedImage): Generator<Digest> {
  yield* image.target.indexes;
  for (const view of image.views) {
    yield view.descriptor.digest;
    for (const { digest } of contentOf(view)) yield digest;
  }
}

async function* writeBlob(
  store: Store,
  digest: Digest,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  await using handle = await store.content.open(digest);
  const { size } = await handle.stat();
  const name = `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`;
  yield tarHeader({ name, sizeBytes: size });
  for (let position = 0; position < size; ) {
    signal.throwIfAborted();
    const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, size - position));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) throw new RangeError(`blob ${digest} became shorter`);
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
  yield tarPadding(size);
}

function* writeJson(name: string, value: unknown): Generator<Uint8Array> {
  const bytes = Buffer.from(JSON.stringify(value));
  yield tarHeader({ name, sizeBytes: bytes.length });
  yield bytes;
  yield tarPadding(bytes.length);
}

function layoutIndex(images: readonly PlannedImage[]): unknown {
  const manifests = images.flatMap((image): Descriptor[] => {
    const { mediaType, digest, size } = image.target.target;
    const target = { mediaType, digest, size };
    if (image.names.size === 0) return [target];
    return [...image.names].map((name) => ({
      ...target,
      annotations: {
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": parseReference(name).tag ?? "",
      },
    }));
  });
  return { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
}

function dockerManifest(images: readonly PlannedImage[]): unknown {
  const file = (digest: Digest): string => `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`;
  return images.flatMap(({ chosen, names }) => {
    if (chosen?.manifest === undefined) return [];
    const { config, layers } = chosen.manifest;
    const tags = [...names].map((name) => familiarName(parseReference(name)));
    return [
      {
        Config: file(config.digest),
        RepoTags: tags.length === 0 ? null : tags,
        Layers: layers.map(({ digest }) => file(digest)),
      },
    ];
  });
}

function logSaved(store: Store, images: readonly PlannedImage[]): void {
  store.metadata.change((change) => {
    for (const { target } of images) {
      const digest = target.target.digest;
      const attributes = eventAttributes(store, digest, digest);
      change.event({ type: "image", action: "save", actorId: digest, attributes });
    }
  });
}
