/** What clients are told about images. */
import type { Descriptor, Digest, Platform } from "@gantry/oci";
import { familiarName, familiarRepository, parseReference } from "@gantry/oci";
import type { ManifestView, TargetView } from "./image-view.ts";
import { contentOf } from "./image-view.ts";
import type { NameRecord } from "./records.ts";

/** One manifest, with its sizes. */
export interface ManifestDetails {
  readonly view: ManifestView;
  readonly available: boolean;
  readonly contentSizeBytes: number;
  readonly unpackedSizeBytes: number;
}

/** One image. */
export interface ImageDetails {
  readonly id: Digest;
  readonly target: Descriptor;
  /** What it was made of, or empty. */
  readonly parent: Digest | "";
  readonly repoTags: readonly string[];
  readonly repoDigests: readonly string[];
  readonly createdNano: bigint;
  readonly sizeBytes: number;
  /** -1: not computed. */
  readonly sharedSizeBytes: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly manifests: readonly ManifestDetails[];
  readonly lastTaggedNano: bigint;
  /** The manifest that is shown for the image. */
  readonly chosen: ManifestView | undefined;
  /** Config blob of the chosen one, or empty. */
  readonly configJson: Uint8Array;
  readonly platform: Platform | undefined;
}

/** Names as Docker shows them, in the order of their full forms: short ones stand at `docker.io/`. */
export function shownNames(
  names: readonly NameRecord[],
  target: Digest,
): { readonly repoTags: readonly string[]; readonly repoDigests: readonly string[] } {
  const tags: string[] = [];
  const digests = new Set<string>();
  for (const name of names.map((record) => record.name).sort()) {
    const reference = parseReference(name);
    if (reference.tag !== undefined) tags.push(familiarName(reference));
    digests.add(`${familiarRepository(reference)}@${target}`);
  }
  return { repoTags: tags, repoDigests: [...digests] };
}

/** Sizes of what is here. */
export interface SizeOf {
  /** Undefined: not here. */
  readonly blob: (digest: Digest) => number | undefined;
  /** Unpacked size of a chain's topmost layer; undefined: not unpacked. */
  readonly layer: (chainId: string) => number | undefined;
}

/** Bytes of the content of some manifests, each blob once. */
export function contentSize(
  views: readonly ManifestView[],
  more: readonly Digest[],
  sizeOf: SizeOf,
): number {
  const digests = new Set<Digest>(more);
  for (const view of views) {
    digests.add(view.descriptor.digest);
    for (const { digest } of contentOf(view)) digests.add(digest);
  }
  let total = 0;
  for (const digest of digests) total += sizeOf.blob(digest) ?? 0;
  return total;
}

/** Bytes of the unpacked layers of some manifests, each layer once. */
export function unpackedSize(views: readonly ManifestView[], sizeOf: SizeOf): number {
  const chains = new Set(views.flatMap(({ chain }) => chain));
  let total = 0;
  for (const chain of chains) total += sizeOf.layer(chain) ?? 0;
  return total;
}

/** Bytes of everything of a target that is here. */
export function totalSize(view: TargetView, sizeOf: SizeOf): number {
  return contentSize(view.manifests, view.indexes, sizeOf) + unpackedSize(view.manifests, sizeOf);
}
