/** ImageService: commit, disk usage and what `docker info` shows. */

import { invalidArgument } from "@gantry/errors";
import { parseDigest } from "@gantry/oci";
import type { ImageService } from "@gantry/proto/image";
import type { Handlers } from "@gantry/rpc";
import { commitImage } from "../app/commit-image.ts";
import { diskUsage } from "../app/disk-usage.ts";
import type { Store } from "../app/store.ts";
import { storeImage } from "../app/store-image.ts";
import { type StepImage, storeStepImages } from "../app/store-step-images.ts";
import { wireImage } from "./messages.ts";

/** What is configured of registries. */
export interface RegistryInfo {
  readonly mirrors: readonly string[];
  readonly insecure: readonly string[];
}

export function storeHandlers(
  store: Store,
  registryInfo: () => RegistryInfo,
): Pick<
  Handlers<typeof ImageService>,
  | "commitImage"
  | "storeImage"
  | "storeStepImages"
  | "recordBuilderPrune"
  | "getDiskUsage"
  | "getImageInfo"
> {
  return {
    async commitImage(request, { signal }) {
      return { imageId: await commitImage(store, { ...request, signal }) };
    },

    async recordBuilderPrune({ reclaimedBytes }) {
      const attributes = { reclaimed: String(reclaimedBytes) };
      store.metadata.change((change) => {
        change.event({ type: "builder", action: "prune", actorId: "", attributes });
      });
      await store.metadata.flush();
      return {};
    },

    async storeImage({ target, names, leaseOwner }) {
      if (target === undefined) throw invalidArgument("an image needs a target");
      const digest = parseDigest(target.digest);
      const { mediaType, sizeBytes, annotations } = target;
      const described = Object.keys(annotations).length > 0 && { annotations };
      const descriptor = { mediaType, digest, size: Number(sizeBytes), ...described };
      await storeImage(store, descriptor, { names, leaseOwner });
      return { imageId: digest };
    },

    async storeStepImages({ images, namedId, names }) {
      const named = namedId === "" ? undefined : parseDigest(namedId);
      await storeStepImages(store, images.map(stepImage), { named, names });
      return {};
    },

    async getDiskUsage() {
      const { images, layersSizeBytes } = await diskUsage(store);
      return { images: images.map(wireImage), layersSizeBytes: BigInt(layersSizeBytes) };
    },

    async getImageInfo() {
      const registry = registryInfo();
      const cidrs = registry.insecure.filter((each) => each.includes("/"));
      return {
        images: store.metadata.images.size,
        driver: "overlayfs",
        driverStatus: [{ key: "driver-type", value: "io.containerd.snapshotter.v1" }],
        insecureRegistryCidrs: ["::1/128", "127.0.0.0/8", ...cidrs],
        insecureRegistries: registry.insecure.filter((each) => !each.includes("/")),
        mirrors: [...registry.mirrors],
      };
    },
  };
}

function stepImage({
  manifest,
  config,
  parentId,
}: {
  readonly manifest: Uint8Array;
  readonly config: Uint8Array;
  readonly parentId: string;
}): StepImage {
  return { manifest, config, parent: parentId === "" ? "" : parseDigest(parentId) };
}
