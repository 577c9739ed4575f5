/** `docker rmi`. */
import { conflict, EngineError, invalidArgument, notFound } from "@gantry/errors";
import {
  canonicalName,
  type Digest,
  familiarName,
  formatPlatform,
  type Platform,
  parseReference,
  platformDistance,
  repositoryOf,
  samePlatform,
  shortDigest,
} from "@gantry/oci";
import type { ImageRecord, NameRecord } from "../domain/records.ts";
import type { MetadataChange } from "../ports/metadata.ts";
import { type FoundImage, findImage } from "./find-image.ts";
import { eventAttributes } from "./record-image.ts";
import type { Store } from "./store.ts";

/** One step of a removal: a name taken away, or an image deleted. */
export type RemovalStep = { readonly untagged: string } | { readonly deleted: string };

export interface RemoveRequest {
  readonly image: string;
  readonly force: boolean;
  /** Parents without name stay. */
  readonly noPrune: boolean;
  readonly platforms: readonly Platform[];
}

export async function removeImage(store: Store, request: RemoveRequest): Promise<RemovalStep[]> {
  const found = findImage(store.metadata, request.image);
  if (request.platforms.length > 0) return removePlatforms(store, found.image, request);
  // The events tell of labels.
  await store.catalog.view(found.image.digest).catch((error: unknown) => {
    store.logger.warn({ err: error, image: found.image.digest }, "removing an unreadable image");
  });
  const names = store.metadata.namesOf(found.image.digest);
  const plan =
    found.name === undefined
      ? planById(store, found.image, names, request.force)
      : planByName(store, found, names, request);
  const steps = store.metadata.change((change) => execute(store, change, found.image, plan));
  if (plan.deletes) {
    store.catalog.forget(found.image.digest);
    if (!request.noPrune) steps.push(...removeParents(store, found.image));
    await store.collector.collect();
  }
  await store.metadata.flush();
  return steps;
}

interface Plan {
  readonly untag: readonly NameRecord[];
  readonly deletes: boolean;
}

function planByName(
  store: Store,
  { image, name }: FoundImage,
  names: readonly NameRecord[],
  { image: text, force }: RemoveRequest,
): Plan {
  const untag = names.filter((each) => each.name === name);
  if (names.length > untag.length) return { untag, deletes: false };
  const [user] = store.users.of(image.digest);
  if (user !== undefined && !force) {
    throw conflict(
      `conflict: unable to remove repository reference "${text}" (must force) - container ` +
        `${shortId(user.containerId)} is using its referenced image ${shortDigest(image.digest)}`,
    );
  }
  refuseRunning(store, image.digest);
  // What others were made of stays without its name.
  return { untag, deletes: store.metadata.childrenOf(image.digest).size === 0 };
}

function planById(
  store: Store,
  image: ImageRecord,
  names: readonly NameRecord[],
  force: boolean,
): Plan {
  const id = shortDigest(image.digest);
  refuseRunning(store, image.digest);
  if (!force) {
    const repositories = new Set(
      names.map(({ name }) => canonicalName(repositoryOf(parseReference(name)))),
    );
    if (repositories.size > 1) {
      throw conflict(
        `conflict: unable to delete ${id} (must be forced) - image is referenced in multiple repositories`,
      );
    }
    const [stopped] = store.users.of(image.digest);
    if (stopped !== undefined) {
      throw conflict(
        `conflict: unable to delete ${id} (must be forced) - image is being used by stopped container ${shortId(stopped.containerId)}`,
      );
    }
  }
  return { untag: names, deletes: true };
}

function refuseRunning(store: Store, digest: Digest): void {
  const running = store.users.of(digest).find((user) => user.running);
  if (running === undefined) return;
  throw conflict(
    `conflict: unable to delete ${shortDigest(digest)} (cannot be forced) - image is being used by running container ${shortId(running.containerId)}`,
  );
}

function shortId(id: string): string {
  return id.slice(0, 12);
}

/** Parents go that have no name, no user and no other child. */
function removeParents(store: Store, { parent }: ImageRecord): RemovalStep[] {
  const { metadata } = store;
  const steps: RemovalStep[] = [];
  let image = parent === "" ? undefined : metadata.images.get(parent);
  while (image !== undefined && isUnwanted(store, image.digest)) {
    const doomed: ImageRecord = image;
    steps.push(
      ...metadata.change((change) => execute(store, change, doomed, { untag: [], deletes: true })),
    );
    store.catalog.forget(doomed.digest);
    image = doomed.parent === "" ? undefined : metadata.images.get(doomed.parent);
  }
  return steps;
}

function isUnwanted({ metadata, users }: Store, image: Digest): boolean {
  const isNamed = metadata.namesOf(image).length > 0;
  return !isNamed && metadata.childrenOf(image).size === 0 && users.of(image).length === 0;
}

/** Takes names away and, with them, the record. Also used by prune. */
export function execute(
  store: Store,
  change: MetadataChange,
  image: ImageRecord,
  plan: Plan,
): RemovalStep[] {
  const steps: RemovalStep[] = [];
  const { digest } = image;
  const attributes = eventAttributes(store, digest, digest);
  for (const { name } of plan.untag) {
    change.deleteName(name);
    change.event({ type: "image", action: "untag", actorId: digest, attributes });
    steps.push({ untagged: familiarName(parseReference(name)) });
  }
  if (plan.deletes) {
    change.deleteImage(digest);
    change.event({ type: "image", action: "delete", actorId: digest, attributes });
    steps.push({ deleted: digest });
  }
  return steps;
}

/** Removes the content of some platforms only; the image stays. */
async function removePlatforms(
  store: Store,
  image: ImageRecord,
  request: RemoveRequest,
): Promise<RemovalStep[]> {
  if (!request.force) {
    throw invalidArgument(
      "Content will be removed from all images referencing this variant. Use force=true to force delete.",
    );
  }
  const target = await store.catalog.view(image.digest);
  const doomed = request.platforms.map((wanted) => {
    const view = target.manifests.find(
      (each) =>
        each.manifest !== undefined &&
        each.platform !== undefined &&
        (samePlatform(each.platform, wanted) || platformDistance(wanted, each.platform) === 0),
    );
    if (view === undefined) {
      throw notFound(
        "image",
        request.image,
        `no matching manifest for ${formatPlatform(wanted)}: not found`,
      );
    }
    return view;
  });
  for (const { descriptor } of doomed) refuseManifestInUse(store, image.digest, descriptor.digest);
  if (target.indexes.length === 0) {
    throw new EngineError("conflict", "the image has only this platform: remove it as a whole");
  }
  store.metadata.change((change) => {
    for (const { descriptor } of doomed) change.deleteBlob(descriptor.digest);
  });
  for (const { descriptor } of doomed) store.content.remove(descriptor.digest);
  store.catalog.forgetAll();
  await store.collector.collect();
  return doomed.map(({ descriptor }) => ({ deleted: descriptor.digest }));
}

function refuseManifestInUse(store: Store, image: Digest, manifest: Digest): void {
  const user = store.users.of(image).find((each) => each.manifest === manifest);
  if (user === undefined) return;
  throw conflict(
    `conflict: unable to delete ${shortDigest(manifest)} (cannot be forced) - image is being used by ${user.running ? "running" : "stopped"} container ${shortId(user.containerId)}`,
  );
}
