/** Makes an image of ours: config and manifest over layers that are in the store. */
import {
  canonicalName,
  type Descriptor,
  type Digest,
  mediaTypes,
  type Reference,
  sha256Digest,
} from "@gantry/oci";
import type { Hold } from "./holds.ts";
import { eventAttributes, recordImage, tellOfNames } from "./record-image.ts";
import type { Store } from "./store.ts";

/** Writes a small blob and its row, held. */
async function putBlob(
  store: Store,
  hold: Hold,
  bytes: Buffer,
  mediaType: string,
): Promise<Descriptor> {
  hold.blob(sha256Digest(bytes));
  const { digest, sizeBytes } = await store.content.write(bytes);
  store.metadata.change((change) => {
    change.putBlob({ digest, sizeBytes });
  });
  return { mediaType, digest, size: sizeBytes };
}

export interface NewImage {
  /** The whole image config. */
  readonly config: unknown;
  readonly layers: readonly Descriptor[];
  readonly name: Reference | undefined;
  /** What it was made of, or empty. */
  readonly parent: Digest | "";
  /** What happened, for the event: a created image is told of before its name, an imported one after it. */
  readonly action: "import" | "create";
}

/** Writes config, manifest, record, name and events. Returns the image ID. */
export async function putImage(store: Store, hold: Hold, image: NewImage): Promise<Digest> {
  const config = await putBlob(
    store,
    hold,
    Buffer.from(JSON.stringify(image.config)),
    mediaTypes.ociConfig,
  );
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config,
    layers: image.layers,
  };
  const target = await putBlob(
    store,
    hold,
    Buffer.from(JSON.stringify(manifest)),
    mediaTypes.ociManifest,
  );
  const names = image.name === undefined ? [] : [image.name];
  store.catalog.forget(target.digest);
  // The events tell of labels.
  await store.catalog.view(target.digest);
  store.metadata.change((change) => {
    recordImage(store, change, target, names.map(canonicalName), image.parent);
    const tellOfImage = (): void => {
      const attributes = eventAttributes(store, target.digest, target.digest);
      change.event({ type: "image", action: image.action, actorId: target.digest, attributes });
    };
    if (image.action === "create") tellOfImage();
    tellOfNames(store, change, target.digest, names);
    if (image.action === "import") tellOfImage();
  });
  await store.metadata.flush();
  return target.digest;
}
