/** `docker tag`. */
import { hasKind, invalidArgument, notFound } from "@gantry/errors";
import {
  canonicalName,
  familiarRepository,
  isTag,
  parseReference,
  type Reference,
} from "@gantry/oci";
import type { ImageRecord } from "../domain/records.ts";
import { findImage } from "./find-image.ts";
import { recordImage, tellOfNames } from "./record-image.ts";
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

/** Whatever names no image is not there, also what can be no name. Throws not_found. */
function namedImage(store: Store, image: string): ImageRecord {
  try {
    return findImage(store.metadata, image).image;
  } catch (error) {
    if (!(error instanceof Error) || !hasKind(error, "invalid_argument")) throw error;
    throw notFound("image", image, error.message);
  }
}

export async function tagImage(
  store: Store,
  image: string,
  repository: string,
  tag: string,
): Promise<void> {
  const name = newName(repository, tag);
  const found = namedImage(store, image);
  const { digest, mediaType, sizeBytes } = found;
  store.metadata.change((change) => {
    recordImage(store, change, { digest, mediaType, size: sizeBytes }, [canonicalName(name)]);
    tellOfNames(store, change, digest, [name]);
  });
  await store.metadata.flush();
}
