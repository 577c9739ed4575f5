/** Writes an image and names of it, in a transaction of the caller. */
import { type Descriptor, type Digest, familiarName, type Reference } from "@gantry/oci";
import type { MetadataChange } from "../ports/metadata.ts";
import type { Store } from "./store.ts";

/** The image that a name pointed to before keeps its record: it is dangling when that was its last name. @param parent what it was made of */
export function recordImage(
  store: Store,
  change: MetadataChange,
  target: Pick<Descriptor, "digest" | "mediaType" | "size" | "annotations">,
  names: readonly string[],
  parent: Digest | "" = "",
): void {
  const nowNano = store.nowNano();
  const known = store.metadata.images.get(target.digest);
  if (known === undefined) {
    change.putImage({
      digest: target.digest,
      mediaType: target.mediaType,
      sizeBytes: target.size,
      addedNano: nowNano,
      parent,
      ...(target.annotations && { annotations: target.annotations }),
    });
  } else {
    const isChild = known.parent === "" && parent !== "";
    const { annotations } = target;
    if (isChild || annotations !== undefined) {
      const own = annotations ?? known.annotations;
      change.putImage({ ...known, ...(isChild && { parent }), ...(own && { annotations: own }) });
    }
  }
  for (const name of names) change.putName({ name, digest: target.digest, taggedNano: nowNano });
}

/** Attributes of an image's events: its labels and its name. */
export function eventAttributes(
  store: Store,
  image: Digest,
  name: string,
): Readonly<Record<string, string>> {
  const view = store.catalog.cached(image);
  const labels = view?.manifests.find(({ config }) => config !== undefined)?.config?.config?.Labels;
  return { ...labels, name };
}

/** Events of names that an image gets. */
export function tellOfNames(
  store: Store,
  change: MetadataChange,
  image: Digest,
  names: readonly Reference[],
): void {
  for (const name of names) {
    const attributes = eventAttributes(store, image, familiarName(name));
    change.event({ type: "image", action: "tag", actorId: image, attributes });
  }
}
