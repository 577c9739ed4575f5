/** `docker tag`. */
import { invalidArgument } from "@gantry/errors";
import {
  canonicalName,
  familiarName,
  familiarRepository,
  isTag,
  parseReference,
  type Reference,
} from "@gantry/oci";
import { findImage } from "./find-image.ts";
import { eventAttributes, recordImage } from "./record-image.ts";
import type { Store } from "./store.ts";

/** A new name out of Docker's two parameters. Throws invalid_argument with Docker's words. */
export function newName(repository: string, tag: string): Reference {
  const reference = parseReference(repository);
  if (reference.digest !== undefined) {
    throw invalidArgument("cannot import digest reference");
  }
  if (familiarRepository(reference) === "sha256") {
    throw invalidArgument("refusing to create an ambiguous tag using digest algorithm as name");
  }
  if (tag === "") return { ...reference, tag: reference.tag ?? "latest" };
  if (!isTag(tag)) throw invalidArgument("invalid tag format");
  return { ...reference, tag };
}

export async function tagImage(
  store: Store,
  image: string,
  repository: string,
  tag: string,
): Promise<void> {
  const name = newName(repository, tag);
  const found = findImage(store.metadata, image).image;
  const { digest, mediaType, sizeBytes } = found;
  store.metadata.change((change) => {
    recordImage(store, change, { digest, mediaType, size: sizeBytes }, [canonicalName(name)]);
    change.event({
      type: "image",
      action: "tag",
      actorId: digest,
      attributes: eventAttributes(store, digest, familiarName(name)),
    });
  });
  await store.metadata.flush();
}
