/** Records the images of a classic build's steps: their documents come with the request, their layers are here. */
import { invalidArgument, notFound } from "@gantry/errors";
import {
  canonicalName,
  type Digest,
  maxManifestBytes,
  mediaTypes,
  parseImageConfig,
  parseManifestOrIndex,
  type Reference,
  sha256Digest,
} from "@gantry/oci";
import type { MetadataChange } from "../ports/metadata.ts";
import type { Hold } from "./holds.ts";
import { recordImage, tellOfNames } from "./record-image.ts";
import type { Store } from "./store.ts";
import { newName } from "./tag-image.ts";

/** The image of a step. */
export interface StepImage {
  readonly manifest: Uint8Array;
  readonly config: Uint8Array;
  /** What it was made of, or empty. */
  readonly parent: Digest | "";
}

/** An image and its documents' digests. */
interface NewStepImage extends StepImage {
  readonly digest: Digest;
  readonly configDigest: Digest;
}

/**
 * Those that are here keep their records; of those that are removed meanwhile only the named one comes back. Throws
 * not_found when a layer is missing.
 * @param naming an image that gets names: one of these, or one that is here
 */
export async function storeStepImages(
  store: Store,
  images: readonly StepImage[],
  naming: { readonly named: Digest | undefined; readonly names: readonly string[] },
): Promise<void> {
  const references = naming.names.map((name) => newName(name, ""));
  using hold = store.holds.open();
  const all = images.map(withDigests);
  const held = all.filter(
    ({ digest }) => digest === naming.named || !store.metadata.images.has(digest),
  );
  for (const image of held) holdContent(store, hold, image);
  const documents = new Map(
    held.flatMap(({ digest, manifest, configDigest, config }) => [
      [configDigest, config],
      [digest, manifest],
    ]),
  );
  const missing = [...documents].filter(([digest]) => !store.metadata.blobs.has(digest));
  const written = await Promise.all(missing.map(([, bytes]) => store.content.write(bytes)));
  store.metadata.change((change) => {
    for (const blob of written) change.putBlob(blob);
    for (const image of all) {
      const { digest, manifest, parent } = image;
      const isHere = store.metadata.images.has(digest);
      if (!isHere && !held.includes(image)) continue;
      const target = { digest, mediaType: mediaTypes.ociManifest, size: manifest.length };
      recordImage(store, change, target, [], parent);
      if (!isHere) tellOfNew(change, image);
    }
  });
  for (const [digest, bytes] of documents) {
    store.content.remember(digest, bytes);
    store.catalog.forget(digest);
  }
  if (naming.named !== undefined) await nameImage(store, naming.named, references);
  await store.metadata.flush();
}

function withDigests(image: StepImage): NewStepImage {
  if (image.manifest.length > maxManifestBytes) throw invalidArgument("manifest: too large");
  const digest = sha256Digest(image.manifest);
  return { ...image, digest, configDigest: sha256Digest(image.config) };
}

/** Keeps what an image refers to until its record does. */
function holdContent({ metadata }: Store, hold: Hold, image: NewStepImage): void {
  const manifest = parseManifestOrIndex(Buffer.from(image.manifest), mediaTypes.ociManifest);
  if (manifest.kind !== "manifest" || manifest.config.digest !== image.configDigest) {
    throw invalidArgument("manifest: is not of the config that comes with it");
  }
  hold.blob(image.digest);
  hold.blob(image.configDigest);
  for (const { digest } of manifest.layers) {
    hold.blob(digest);
    if (!metadata.blobs.has(digest)) {
      throw notFound("content", digest, `content ${digest} is missing`);
    }
  }
}

function tellOfNew(change: MetadataChange, { digest, config }: NewStepImage): void {
  const labels = parseImageConfig(Buffer.from(config)).config?.Labels;
  const attributes = { ...labels, name: digest };
  change.event({ type: "image", action: "create", actorId: digest, attributes });
}

async function nameImage(
  store: Store,
  named: Digest,
  references: readonly Reference[],
): Promise<void> {
  const image = store.metadata.images.get(named);
  if (image === undefined) throw notFound("image", named);
  // The events tell of labels.
  await store.catalog.view(named);
  const target = { digest: named, mediaType: image.mediaType, size: image.sizeBytes };
  store.metadata.change((change) => {
    recordImage(store, change, target, references.map(canonicalName));
    tellOfNames(store, change, named, references);
  });
}
