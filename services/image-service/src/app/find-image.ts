/** Finds an image by what a client calls it. */
import { hasKind, notFound } from "@gantry/errors";
import {
  canonicalName,
  type Digest,
  familiarName,
  isDigest,
  parseReference,
  type Reference,
  withDefaultTag,
} from "@gantry/oci";
import type { ImageRecord } from "../domain/records.ts";
import type { Metadata } from "../ports/metadata.ts";

/** An image, and the name by which it was found. */
export interface FoundImage {
  readonly image: ImageRecord;
  /** Canonical; undefined when found by ID or digest alone. */
  readonly name: string | undefined;
}

const idForm = /^(?:sha256:)?([a-f0-9]{1,64})$/;

/**
 * Looks for a name, then a digest, then a unique prefix of an ID. Throws invalid_argument for what
 * can be none of these, and not_found with Docker's words.
 */
export function findImage(
  metadata: Pick<Metadata, "images" | "names" | "namesOf">,
  text: string,
): FoundImage {
  const found = lookUp(metadata, text);
  if (found === undefined) throw notFound("image", text, `No such image: ${shownName(text)}`);
  return found;
}

/**
 * As findImage; a repository's name alone means all that are tagged in it, sorted by tag, unless it is a piece of an ID
 * and no name.
 */
export function findImages(
  metadata: Pick<Metadata, "images" | "names" | "namesOf">,
  text: string,
): readonly FoundImage[] {
  const found = lookUp(metadata, text);
  if (found !== undefined && found.name === undefined) return [found];
  const { domain, path, tag, digest } = parseReference(text);
  // Who asks for content by its digest has no name in mind.
  if (found !== undefined && digest !== undefined) return [{ ...found, name: undefined }];
  if (tag === undefined && digest === undefined) {
    const prefix = `${canonicalName({ domain, path })}:`;
    const tagged = [...metadata.names.values()].flatMap(({ name, digest: id }): FoundImage[] => {
      const image = name.startsWith(prefix) ? metadata.images.get(id) : undefined;
      return image === undefined ? [] : [{ image, name }];
    });
    if (tagged.length > 0) return tagged.sort((one, other) => (shown(one) < shown(other) ? -1 : 1));
  }
  return [found ?? findImage(metadata, text)];
}

const shown = ({ name = "" }: FoundImage): string => name;

function lookUp(
  metadata: Pick<Metadata, "images" | "names" | "namesOf">,
  text: string,
): FoundImage | undefined {
  if (isDigest(text)) return byId(metadata, text);
  const id = idForm.exec(text)?.[1];
  const reference = tryReference(text, id !== undefined);
  const named = reference && byName(metadata, reference);
  if (named !== undefined) return named;
  return id === undefined ? undefined : byPrefix(metadata, id);
}

/** What looks like an ID need not be a valid reference (`sha256:ab`, 64 digits). */
function tryReference(text: string, mayBeId: boolean): Reference | undefined {
  try {
    return withDefaultTag(parseReference(text));
  } catch (error) {
    if (mayBeId && hasKind(error, "invalid_argument")) return undefined;
    throw error;
  }
}

function byId(metadata: Pick<Metadata, "images">, digest: Digest): FoundImage | undefined {
  const image = metadata.images.get(digest);
  return image && { image, name: undefined };
}

function byName(
  metadata: Pick<Metadata, "images" | "names" | "namesOf">,
  reference: Reference,
): FoundImage | undefined {
  const exact = metadata.names.get(canonicalName(reference));
  const record = exact && metadata.images.get(exact.digest);
  if (exact !== undefined && record !== undefined) return { image: record, name: exact.name };
  return reference.digest === undefined ? undefined : byDigest(metadata, reference);
}

/** `repo@digest` and `repo:tag@digest` find an image that has a name in that repository. */
function byDigest(
  metadata: Pick<Metadata, "images" | "namesOf">,
  reference: Reference,
): FoundImage | undefined {
  const { domain, path, digest } = reference;
  const image = digest && metadata.images.get(digest);
  if (image === undefined) return undefined;
  const prefix = canonicalName({ domain, path });
  const name = metadata
    .namesOf(image.digest)
    .find((each) => each.name.startsWith(`${prefix}:`) || each.name.startsWith(`${prefix}@`));
  return name && { image, name: name.name };
}

function byPrefix(metadata: Pick<Metadata, "images">, hex: string): FoundImage | undefined {
  let match: ImageRecord | undefined;
  for (const image of metadata.images.values()) {
    if (!image.digest.startsWith(`sha256:${hex}`)) continue;
    // An ambiguous prefix finds nothing.
    if (match !== undefined) return undefined;
    match = image;
  }
  return match && { image: match, name: undefined };
}

/** How Docker shows a name that it did not find: with its tag. */
export function shownName(text: string): string {
  if (isDigest(text) || /^[a-f0-9]{64}$/.test(text)) return text;
  try {
    return familiarName(withDefaultTag(parseReference(text)));
  } catch {
    // It can only be a piece of an ID.
    return text;
  }
}
