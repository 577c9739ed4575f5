/** `docker history`. */
import type { Platform } from "@gantry/oci";
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
  const { view, image: record } = await chooseImage(store, image, platform);
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
  const { repoTags } = shownNames(store.metadata.namesOf(record.digest), record.digest);
  const [newest, ...older] = steps;
  return newest === undefined ? [] : [{ ...newest, id: record.digest, tags: repoTags }, ...older];
}
