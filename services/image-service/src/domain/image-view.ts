/** What an image's documents say, read once, and the choice among its manifests. Pure. */
import {
  chainIds,
  configPlatform,
  type Descriptor,
  type Digest,
  type ImageConfig,
  type Index,
  isConfigType,
  type Manifest,
  type Platform,
  platformDistance,
} from "@gantry/oci";

/** One manifest of a target. */
export interface ManifestView {
  readonly descriptor: Descriptor;
  readonly kind: "image" | "attestation" | "unknown";
  /** Manifest that an attestation is for. */
  readonly attestationFor: string;
  readonly platform: Platform | undefined;
  /** Undefined while the document is not here. */
  readonly manifest: Manifest | undefined;
  readonly config: ImageConfig | undefined;
  /** Lowest layer first. */
  readonly diffIds: readonly Digest[];
  /** Chain IDs of the layers, lowest first. */
  readonly chain: readonly Digest[];
}

/** An image's target with all that it lists. */
export interface TargetView {
  readonly target: Descriptor;
  /** The target, and indexes within it. Empty when the target is a manifest. */
  readonly indexes: readonly Digest[];
  readonly manifests: readonly ManifestView[];
}

/** Tells whether a blob is here. */
export type HasBlob = (digest: Digest) => boolean;

const attestationType = "vnd.docker.reference.type";
const attestationDigest = "vnd.docker.reference.digest";

/** Puts together what is known of one manifest. */
export function viewManifest(
  descriptor: Descriptor,
  manifest: Manifest | undefined,
  config: ImageConfig | undefined,
): ManifestView {
  const annotations = descriptor.annotations ?? {};
  const attests = annotations[attestationType] === "attestation-manifest";
  const platform = config === undefined ? descriptor.platform : platformOf(config, descriptor);
  const diffIds = config?.rootfs.diff_ids ?? [];
  return {
    descriptor,
    kind: attests ? "attestation" : isImage(manifest, platform) ? "image" : "unknown",
    attestationFor: attests ? (annotations[attestationDigest] ?? "") : "",
    platform,
    manifest,
    config,
    diffIds,
    chain: chainIds(diffIds),
  };
}

/** An index's word on os.version and features is more than the config's, which often lacks them. */
function platformOf(config: ImageConfig, descriptor: Descriptor): Platform {
  const own = configPlatform(config);
  if (own.os === "" || own.architecture === "") return descriptor.platform ?? own;
  return own.variant === undefined && descriptor.platform?.variant !== undefined
    ? { ...own, variant: descriptor.platform.variant }
    : own;
}

function isImage(manifest: Manifest | undefined, platform: Platform | undefined): boolean {
  if (manifest !== undefined) return isConfigType(manifest.config.mediaType);
  return platform !== undefined && platform.os !== "unknown" && platform.os !== "";
}

/** Config and layers of a manifest that is here. */
export function contentOf(view: ManifestView): readonly Descriptor[] {
  return view.manifest === undefined ? [] : [view.manifest.config, ...view.manifest.layers];
}

/** Everything that a target refers to, itself included. */
export function* referencedBlobs(view: TargetView): Generator<Digest> {
  yield view.target.digest;
  yield* view.indexes;
  for (const each of view.manifests) {
    yield each.descriptor.digest;
    for (const { digest } of contentOf(each)) yield digest;
  }
}

/** Whether all content of a manifest is here. */
export function isAvailable(view: ManifestView, has: HasBlob): boolean {
  return view.manifest !== undefined && contentOf(view).every(({ digest }) => has(digest));
}

/** What is wanted, and how it was found. */
export interface Choice {
  readonly view: ManifestView;
  /** It isn't for the wanted platform, but nothing better is here. */
  readonly mismatch: boolean;
}

/**
 * Chooses an image manifest for a platform among those that are here.
 * @param strict only the wanted platform; else any, when there is none for it
 */
export function chooseManifest(
  target: TargetView,
  wanted: Platform,
  options: { readonly strict: boolean; readonly has: HasBlob },
): Choice | undefined {
  let best: { view: ManifestView; distance: number } | undefined;
  let fallback: ManifestView | undefined;
  for (const view of target.manifests) {
    if (view.kind !== "image" || view.manifest === undefined) continue;
    const usable = isAvailable(view, options.has);
    const distance = view.platform && platformDistance(wanted, view.platform);
    if (distance !== undefined && (usable || target.manifests.length === 1)) {
      if (best === undefined || distance < best.distance) best = { view, distance };
    } else if (usable) {
      fallback ??= view;
    }
  }
  if (best !== undefined) return { view: best.view, mismatch: false };
  if (options.strict || fallback === undefined) return undefined;
  return { view: fallback, mismatch: true };
}

/** An entry of an index by platform, whether or not it is here. */
export function chooseEntry(index: Index, wanted: Platform): Descriptor | undefined {
  let best: { entry: Descriptor; distance: number } | undefined;
  for (const entry of index.manifests) {
    if (entry.annotations?.[attestationType] !== undefined) continue;
    if (entry.platform === undefined) continue;
    const distance = platformDistance(wanted, entry.platform);
    if (distance !== undefined && (best === undefined || distance < best.distance)) {
      best = { entry, distance };
    }
  }
  return best?.entry;
}

/** `created` of a config as nanoseconds since the epoch, 0 when absent or malformed. */
export function createdNano(config: ImageConfig | undefined): bigint {
  return timeNano(config?.created);
}

/** An RFC 3339 time as nanoseconds since the epoch, 0 when absent or malformed. */
export function timeNano(text: string | undefined): bigint {
  if (text === undefined) return 0n;
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (match === null) return 0n;
  const [, seconds = "", fraction = "", zone = ""] = match;
  const ms = Date.parse(`${seconds}${zone}`);
  if (Number.isNaN(ms)) return 0n;
  const nano = BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, "0"));
  // Go's zero time, year 1, means that there is none.
  return nano <= 0n ? 0n : nano;
}
