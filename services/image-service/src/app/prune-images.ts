/** `docker image prune`. */

import { conflict } from "@gantry/errors";
import {
  booleanFilter,
  checkFilterKeys,
  type Filters,
  labelsMatch,
  untilFilter,
} from "../domain/filters.ts";
import type { ImageDetails } from "../domain/image-details.ts";
import { partialLeasePrefix } from "../domain/records.ts";
import { addedNano, listImages } from "./list-images.ts";
import { execute, type RemovalStep } from "./remove-image.ts";
import type { Store } from "./store.ts";

export interface Pruned {
  readonly removed: readonly RemovalStep[];
  readonly reclaimedBytes: number;
}

/** One prune at a time, as with Docker. */
export function createPruner(store: Store): (filters: Filters) => Promise<Pruned> {
  let running = false;
  return async (filters) => {
    if (running) throw conflict("a prune operation is already running");
    running = true;
    try {
      return await pruneImages(store, filters);
    } finally {
      running = false;
    }
  };
}

async function pruneImages(store: Store, filters: Filters): Promise<Pruned> {
  checkFilterKeys(filters, ["dangling", "label", "label!", "until"]);
  const onlyDangling = booleanFilter(filters, "dangling") ?? true;
  const until = untilFilter(filters, store.nowNano());
  const images = await listImages(store, {
    all: true,
    filters: new Map(),
    sharedSize: false,
    manifests: false,
  });
  const doomed = images.filter(
    (image) =>
      store.users.of(image.id).length === 0 &&
      (!onlyDangling || image.repoDigests.length === 0) &&
      (until === undefined || addedNano(store, image) < until) &&
      labelsMatch(image.labels, filters),
  );
  const removed = doomed.flatMap((image) => removeOne(store, image));
  dropPartialPulls(store);
  const { bytes } = await store.collector.collect();
  logPrune(store, bytes);
  await store.metadata.flush();
  return { removed, reclaimedBytes: bytes };
}

function removeOne(store: Store, image: ImageDetails): RemovalStep[] {
  const record = store.metadata.images.get(image.id);
  if (record === undefined) return [];
  const untag = store.metadata.namesOf(image.id);
  const steps = store.metadata.change((change) =>
    execute(store, change, record, { untag, deletes: true }),
  );
  store.catalog.forget(image.id);
  // Docker has a name for images without name, and tells of it.
  return untag.length === 0 ? [{ untagged: image.id }, ...steps] : steps;
}

/** What broken pulls left for a next try goes, too; running ones hold what they need. */
function dropPartialPulls(store: Store): void {
  const owners = [...store.metadata.leases.keys()].filter((each) =>
    each.startsWith(partialLeasePrefix),
  );
  if (owners.length === 0) return;
  store.metadata.change((change) => {
    for (const owner of owners) change.deleteLease(owner);
  });
}

function logPrune(store: Store, bytes: number): void {
  store.metadata.change((change) => {
    change.event({
      type: "image",
      action: "prune",
      actorId: "",
      attributes: { reclaimed: String(bytes) },
    });
  });
}
