/** ImageService, without what speaks to registries. */

import { parseDigest } from "@gantry/oci";
import { type ImageService, ListImagesResponseSchema } from "@gantry/proto/image";
import { type Handlers, listOfRows } from "@gantry/rpc";
import { chooseImage } from "../app/choose-image.ts";
import { derivedImages } from "../app/derived-images.ts";
import { describeImage } from "../app/describe-image.ts";
import { findImage } from "../app/find-image.ts";
import { imageHistory } from "../app/image-history.ts";
import { listImages } from "../app/list-images.ts";
import { createPruner } from "../app/prune-images.ts";
import { removeImage } from "../app/remove-image.ts";
import { resolveImage } from "../app/resolve-image.ts";
import type { Store } from "../app/store.ts";
import { tagImage } from "../app/tag-image.ts";
import {
  filtersOf,
  imageRow,
  platformOf,
  platformsOf,
  wireImage,
  wireRemoval,
} from "./messages.ts";

export function imageHandlers(store: Store): Handlers<typeof ImageService> {
  const prune = createPruner(store);
  return {
    async resolveImage({ image, platform, leaseOwner }, { signal }) {
      const resolved = await resolveImage(store, {
        image,
        platform: platformOf(platform),
        leaseOwner,
        signal,
      });
      const { chainId, platformMismatch } = resolved;
      return { image: wireImage(resolved.details), chainId, platformMismatch };
    },

    async listImages({ all, filters, sharedSize, manifests }) {
      const images = await listImages(store, {
        all,
        filters: filtersOf(filters),
        sharedSize,
        manifests,
      });
      return listOfRows(ListImagesResponseSchema, images.map(imageRow));
    },

    async inspectImage({ image, platform, manifests }) {
      const wanted = platformOf(platform);
      const options = { configJson: true, manifests };
      using hold = store.holds.open();
      if (wanted === undefined) {
        const found = findImage(store.metadata, image);
        hold.image(found.image.digest);
        return { image: wireImage(await describeImage(store, found.image, options)) };
      }
      const chosen = await chooseImage(store, hold, image, wanted);
      const details = await describeImage(store, chosen.image, { ...options, chosen: chosen.view });
      return { image: wireImage(details) };
    },

    async getImageHistory({ image, platform }) {
      const steps = await imageHistory(store, image, platformOf(platform));
      return {
        entries: steps.map((step) => ({
          ...step,
          tags: [...step.tags],
          sizeBytes: BigInt(step.sizeBytes),
        })),
      };
    },

    async tagImage({ image, repository, tag }) {
      await tagImage(store, image, repository, tag);
      return {};
    },

    async removeImage({ image, force, noPrune, platforms }) {
      const wanted = platformsOf(platforms);
      const steps = await removeImage(store, { image, force, noPrune, platforms: wanted });
      return { removed: steps.map(wireRemoval) };
    },

    async pruneImages({ filters }) {
      const { removed, reclaimedBytes } = await prune(filtersOf(filters));
      return { removed: removed.map(wireRemoval), spaceReclaimedBytes: BigInt(reclaimedBytes) };
    },

    async listDerivedImages({ image }) {
      return { imageIds: [...derivedImages(store, image)] };
    },

    async setImageUsers({ users }) {
      store.users.replace(
        users.map((user) => ({
          containerId: user.containerId,
          image: parseDigest(user.imageId),
          reference: user.reference,
          running: user.running,
          manifest: user.manifestDigest,
        })),
      );
      return {};
    },
  };
}
