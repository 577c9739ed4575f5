/** Everything that is kept of one container. Records are never changed, only replaced. */

import { type State, shownStatus } from "./container-state.ts";
import type { ContainerConfig, HostConfig } from "./nouns.ts";

/** The image as it was found at create. */
export interface UsedImage {
  /** As the user named it. */
  readonly reference: string;
  /** Digest of the target. */
  readonly id: string;
  /** The platform's manifest; empty digest when unknown. */
  readonly manifest: ManifestDescriptor;
  /** Topmost layer: parent of the snapshot. */
  readonly chainId: string;
  readonly os: string;
  readonly architecture: string;
}

/** Descriptor of a manifest. */
export interface ManifestDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
}

/** The root file system, as image-service described it. */
export interface RootfsMount {
  /** Uppermost first. */
  readonly lowerDirs: readonly string[];
  readonly upperDir: string;
  readonly workDir: string;
  readonly mountpoint: string;
}

/** What never changes after create, but when a step of a build is kept. */
export interface ContainerFacts {
  /** Nanoseconds since the epoch. */
  readonly createdNano: bigint;
  /** Entry point or first word of the command. */
  readonly path: string;
  readonly args: readonly string[];
  readonly image: UsedImage;
  readonly rootfs: RootfsMount;
  /** A step of a build: in no list, and without events. */
  readonly buildStep?: true;
}

/** What changes through the lifecycle. */
export interface ContainerProgress {
  readonly state: State;
  /** Restarts by policy since the last start by a user. */
  readonly restartCount: number;
  /** The last stop was a user's: `unless-stopped` leaves it alone. */
  readonly manuallyStopped: boolean;
}

/** A container. */
export interface ContainerRecord extends ContainerFacts, ContainerProgress {
  /** 64 hex digits. */
  readonly id: string;
  /** Without slash. */
  readonly name: string;
  /** Merged with the image's. */
  readonly config: ContainerConfig;
  /** With defaults filled in. */
  readonly hostConfig: HostConfig;
}

/** Attributes of all events of a container: its labels, image and name. */
export function eventAttributes(record: ContainerRecord): Record<string, string> {
  return { ...record.config.labels, image: record.image.reference, name: record.name };
}

/** Status as clients see it. */
export function statusOf(record: ContainerRecord): ReturnType<typeof shownStatus> {
  return shownStatus(record.state);
}
