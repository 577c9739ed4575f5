/** Which images were made of another: `docker ps --filter ancestor=`. */
import type { Digest } from "@gantry/oci";
import { findImage } from "./find-image.ts";
import type { Store } from "./store.ts";

/** The image itself first, then those whose records lead to it. Throws not_found. */
export function derivedImages({ metadata }: Store, name: string): readonly Digest[] {
  const found = new Set([findImage(metadata, name).image.digest]);
  // The set grows as it is walked.
  for (const digest of found) for (const child of metadata.childrenOf(digest)) found.add(child);
  return [...found];
}
