/** Finds an image and the manifest for a platform. */
import { notFound } from "@gantry/errors";
import { formatPlatform, normalizePlatform, type Platform } from "@gantry/oci";
import { chooseManifest, type ManifestView, type TargetView } from "../domain/image-view.ts";
import { type FoundImage, findImage } from "./find-image.ts";
import type { Hold } from "./holds.ts";
import type { Store } from "./store.ts";

/** What was found. */
export interface ChosenImage extends FoundImage {
  readonly target: TargetView;
  readonly view: ManifestView;
  /** It is not for this machine's platform. */
  readonly mismatch: boolean;
}

/**
 * @param hold keeps it from the moment in which it is found
 * @param platform wanted; undefined: the host's, else any
 * @param shown the image's name in the error. Throws not_found.
 */
export async function chooseImage(
  store: Store,
  hold: Hold,
  text: string,
  platform: Platform | undefined,
  shown = text,
): Promise<ChosenImage> {
  const found = findImage(store.metadata, text);
  hold.image(found.image.digest);
  const target = await store.catalog.view(found.image.digest);
  const { blobs } = store.metadata;
  const choice = chooseManifest(target, platform ?? store.host, {
    strict: platform !== undefined,
    has: (digest) => blobs.has(digest),
  });
  if (choice === undefined) throw noSuchPlatform(shown, platform ?? store.host);
  const ours = chooseManifest({ ...target, manifests: [choice.view] }, store.host, {
    strict: true,
    has: () => true,
  });
  return { ...found, target, view: choice.view, mismatch: ours === undefined };
}

function noSuchPlatform(text: string, wanted: Platform): Error {
  return notFound(
    "image",
    text,
    `image with reference ${text} was found but does not provide the specified platform ` +
      `(${formatPlatform(normalizePlatform(wanted))})`,
  );
}
