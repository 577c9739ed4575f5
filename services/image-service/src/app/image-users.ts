/** Which containers use which images, as container-service last said. */
import type { Digest } from "@gantry/oci";

/** One container's use of an image. */
export interface ImageUser {
  readonly containerId: string;
  readonly image: Digest;
  /** Reference as given at create. */
  readonly reference: string;
  readonly running: boolean;
  /** Manifest in use, or empty. */
  readonly manifest: string;
}

/** All of them. */
export interface ImageUsers {
  replace(users: readonly ImageUser[]): void;
  of(image: Digest): readonly ImageUser[];
}

export function createImageUsers(): ImageUsers {
  let byImage = new Map<Digest, ImageUser[]>();
  return {
    replace(users) {
      byImage = Map.groupBy(users, ({ image }) => image);
    },
    of: (image) => byImage.get(image) ?? [],
  };
}
