/** What exported images are called. */
import {
  canonicalName,
  parseReference,
  type Reference,
  repositoryOf,
  withDefaultTag,
} from "@gantry/oci";
import { codes, toWireFailure, WireFailure } from "../wire/failure.ts";
import { csvFields } from "./csv.ts";
import type { ImageAttributes } from "./image-attributes.ts";

/** What dockerd calls an image without names. */
const dangling = "moby-dangling";

/** What an image is called, and under which names it is recorded. */
export interface ImageNaming {
  /** As clients are told of them; empty: it has none. */
  readonly names: readonly string[];
  /** Recorded, with tag. */
  readonly tagged: readonly string[];
  /** Repositories in which it is recorded by its digest. */
  readonly byDigest: readonly string[];
  /** What one without names is called, before `@<digest>`; empty: nothing at all. */
  readonly prefix: string;
}

/** A name with registry and tag. Throws for what no image can be called. */
export const taggedName = (name: string): string => canonicalName(withDefaultTag(parsedName(name)));

/** Names with registry and tag, each once. Throws for what no image can be called. */
export function taggedNames(list: string): string[] {
  const names = csvFields(list).filter((name) => name !== "");
  return [...new Set(names.map(taggedName))];
}

/** Names of an image that the engine keeps or pushes. Throws for what no image can be called. */
export function imageNaming(
  { type, attrs }: { readonly type: string; readonly attrs: Readonly<Record<string, string>> },
  attributes: ImageAttributes,
): ImageNaming {
  const { pushByDigest, danglingPrefix } = attributes;
  // dockerd's own exporter gives every name a tag, and every image a name.
  const isOwn = type === "moby";
  const list = attrs["name"] ?? "";
  const tagged = taggedNames(list);
  const names = isOwn ? tagged : csvFields(list).filter((name) => name !== "");
  const prefix = danglingPrefix ?? (isOwn ? dangling : "");
  const isUntagged = names.length === 0 && prefix !== "" && prefix !== dangling;
  if (isUntagged) return { names, tagged, byDigest: [repository(prefix)], prefix };
  if (!pushByDigest) return { names, tagged, byDigest: [], prefix };
  const byDigest = names.filter((name) => !hasTag(name)).map(repository);
  return { names, tagged: taggedNames(names.filter(hasTag).join(",")), byDigest, prefix };
}

export const hasTag = (name: string): boolean => parsedName(name).tag !== undefined;

/** Name of a reference's repository, with its registry. */
export const repository = (name: string): string => canonicalName(repositoryOf(parsedName(name)));

function parsedName(name: string): Reference {
  const reference = parsedReference(name);
  if (reference.digest === undefined) return reference;
  throw new WireFailure(codes.unknown, "build tag cannot contain a digest");
}

function parsedReference(name: string): Reference {
  try {
    return parseReference(name);
  } catch (error) {
    throw new WireFailure(codes.unknown, toWireFailure(error).message, [], error);
  }
}
