/** `docker history`. */
import type { Digest, Platform } from "@gantry/oci";
import { shownNames } from "../domain/image-details.ts";
import { timeNano } from "../domain/image-view.ts";
import { chooseImage } from "./choose-image.ts";
import type { Store } from "./store.ts";

/** One step; the newest comes first. */
export interface HistoryStep {
  readonly id: string;
  readonly createdNano: bigint;
  readonly createdBy: string;
  readonly tags: readonly string[];
  readonly sizeBytes: number;
  readonly comment: string;
}

export async function imageHistory(
  store: Store,
  image: string,
  platform: Platform | undefined,
): Promise<HistoryStep[]> {
  using hold = store.holds.open();
  const { view, image: record } = await chooseImage(store, hold, image, platform);
  const steps: HistoryStep[] = [];
  let layer = 0;
  for (const item of view.config?.history ?? []) {
    const chain = item.empty_layer === true ? undefined : view.chain[layer++];
    steps.push({
      id: "<missing>",
      createdNano: timeNano(item.created),
      createdBy: item.created_by ?? "",
      tags: [],
      sizeBytes: chain === undefined ? 0 : (store.metadata.snapshots.get(chain)?.sizeBytes ?? 0),
      comment: item.comment ?? "",
    });
  }
  steps.reverse();
  return named(store, record.digest, steps);
}

/** Steps whose images are here, by what each was made of, have their IDs and names. */
function named({ metadata }: Store, newest: Digest, steps: readonly HistoryStep[]): HistoryStep[] {
  let image = metadata.images.get(newest);
  return steps.map((step) => {
    if (image === undefined) return step;
    const { digest, parent } = image;
    image = parent === "" ? undefined : metadata.images.get(parent);
    return { ...step, id: digest, tags: shownNames(metadata.namesOf(digest), digest).repoTags };
  });
}
