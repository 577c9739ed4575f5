/** OCI descriptors and platforms: JSON with OCI's lower-case names. */
import { type JsonOut, sorted, unlessEmpty } from "./json.ts";

/** What image and container messages have in common. */
export interface DescriptorLike {
  readonly mediaType: string;
  readonly digest: string;
  readonly sizeBytes: bigint;
  readonly platform?: PlatformLike | undefined;
  readonly annotations: Readonly<Record<string, string>>;
  readonly artifactType: string;
}

/** A platform of either message. */
export interface PlatformLike {
  readonly architecture: string;
  readonly os: string;
  readonly osVersion: string;
  readonly osFeatures: readonly string[];
  readonly variant: string;
}

/** Encodes a descriptor. */
export function encodeDescriptor(descriptor: DescriptorLike): JsonOut {
  const { annotations } = descriptor;
  return {
    mediaType: descriptor.mediaType,
    digest: descriptor.digest,
    size: descriptor.sizeBytes,
    annotations: Object.keys(annotations).length === 0 ? undefined : sorted(annotations),
    platform: descriptor.platform && encodePlatform(descriptor.platform),
    artifactType: unlessEmpty(descriptor.artifactType),
  };
}

/** Encodes a platform. */
export function encodePlatform(platform: PlatformLike): JsonOut {
  return {
    architecture: platform.architecture,
    os: platform.os,
    "os.version": unlessEmpty(platform.osVersion),
    "os.features": platform.osFeatures.length === 0 ? undefined : platform.osFeatures,
    variant: unlessEmpty(platform.variant),
  };
}
