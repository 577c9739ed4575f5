/** Records an image whose content is in the store: the end of a build. */
import { notFound } from "@gantry/errors";
import {
  canonicalName,
  type Descriptor,
  parseReference,
  type Reference,
  repositoryOf,
} from "@gantry/oci";
import { referencedBlobs } from "../domain/image-view.ts";
import { releaseLease } from "./leases.ts";
import { eventAttributes, recordImage, tellOfNames } from "./record-image.ts";
import type { Store } from "./store.ts";
import { newName } from "./tag-image.ts";

/**
 * Throws not_found when content is missing.
 * @param how.leaseOwner what has kept the content until now and is released; empty: nothing
 */
export async function storeImage(
  store: Store,
  target: Descriptor,
  { names, leaseOwner }: { readonly names: readonly string[]; readonly leaseOwner: string },
): Promise<void> {
  const references = names.map((name) => nameFor(target, name));
  using hold = store.holds.open();
  hold.blob(target.digest);
  store.catalog.forget(target.digest);
  const view = await store.catalog.view(target.digest);
  for (const digest of referencedBlobs(view)) {
    hold.blob(digest);
    if (!store.metadata.blobs.has(digest)) {
      throw notFound("content", digest, `content ${digest} is missing`);
    }
  }
  store.metadata.change((change) => {
    recordImage(store, change, target, references.map(canonicalName));
    change.event({
      type: "image",
      action: "create",
      actorId: target.digest,
      attributes: eventAttributes(store, target.digest, target.digest),
    });
    tellOfNames(store, change, target.digest, references);
  });
  await store.metadata.flush();
  if (leaseOwner !== "") releaseLease(store, leaseOwner);
}

/** A name with a digest says nothing but what the image is. Throws invalid_argument for any other digest. */
function nameFor({ digest }: Descriptor, name: string): Reference {
  const reference = parseReference(name);
  return reference.digest === digest ? { ...repositoryOf(reference), digest } : newName(name, "");
}
