/** `docker pull`. */
import { invalidArgument, permissionDenied } from "@gantry/errors";
import {
  canonicalName,
  type Descriptor,
  familiarName,
  familiarRepository,
  isDigest,
  isLayerType,
  isTag,
  type Platform,
  parseReference,
  type Reference,
  repositoryOf,
} from "@gantry/oci";
import { isAvailable } from "../domain/image-view.ts";
import type { Emit } from "../domain/progress.ts";
import { partialLeasePrefix } from "../domain/records.ts";
import type { Credential, Registries, Repository } from "../ports/registry.ts";
import type { BlobFetcher } from "./blob-fetcher.ts";
import { DocumentFetcher, type FetchedTarget } from "./fetch-documents.ts";
import type { Hold } from "./holds.ts";
import { contentLease, unclaimedUntil } from "./leases.ts";
import { explainRefusal } from "./pull-errors.ts";
import { pullLayers } from "./pull-layers.ts";
import { eventAttributes, recordImage } from "./record-image.ts";
import type { Slots } from "./slots.ts";
import type { Store } from "./store.ts";

/** What a broken pull fetched is kept so long. */
const partialTtlNano = 24n * 3600n * 1_000_000_000n;

export interface PullDeps {
  readonly store: Store;
  readonly registries: Registries;
  readonly fetcher: BlobFetcher;
  /** Downloads at a time, of all pulls together. */
  readonly slots: Slots;
}

export interface PullRequest {
  readonly reference: string;
  /** Tag or digest, or empty. */
  readonly tag: string;
  readonly allTags: boolean;
  readonly platform: Platform | undefined;
  readonly credential: Credential | undefined;
  /** Set: what comes is no image, but kept by a lease of this owner. Empty: an image. */
  readonly leaseOwner: string;
  readonly emit: Emit;
  readonly signal: AbortSignal;
}

/** What a reference led to. */
export interface Pulled {
  readonly target: Descriptor;
  /** The manifest that was chosen. */
  readonly manifest: Descriptor;
}

/**
 * Errors before the first message are those of the registry, in Docker's words.
 * @returns undefined after all tags
 */
export async function pullImage(deps: PullDeps, request: PullRequest): Promise<Pulled | undefined> {
  if (request.allTags && request.leaseOwner !== "") {
    throw invalidArgument("all tags can't be pulled for a lease");
  }
  const reference = wantedReference(request);
  const repository = deps.registries.repository(reference, "pull", request.credential);
  if (!request.allTags) {
    const { fresh, fetched } = await pullOne(deps, repository, reference, request);
    request.emit({ status: statusText(fresh, familiarName(reference)) });
    return { target: fetched.target, manifest: fetched.manifestDescriptor };
  }
  const tags = await repository.tags(request.signal).catch((error: unknown) => {
    throw explainRefusal(error, reference);
  });
  let fresh = false;
  for (const tag of tags.filter(isTag)) {
    const one = { ...repositoryOf(reference), tag };
    fresh = (await pullOne(deps, repository, one, request)).fresh || fresh;
  }
  request.emit({ status: statusText(fresh, familiarRepository(reference)) });
  return undefined;
}

function statusText(fresh: boolean, name: string): string {
  return fresh
    ? `Status: Downloaded newer image for ${name}`
    : `Status: Image is up to date for ${name}`;
}

/** Throws invalid_argument with Docker's words. */
function wantedReference({
  reference: text,
  tag,
  allTags,
}: Pick<PullRequest, "reference" | "tag" | "allTags">): Reference {
  const reference = parseReference(text);
  if (reference.domain === "docker.io" && reference.path === "library/scratch") {
    throw permissionDenied("'scratch' is a reserved name");
  }
  if (allTags) {
    if (reference.tag !== undefined || reference.digest !== undefined) {
      throw invalidArgument("tag can't be used with --all-tags/-a");
    }
    return reference;
  }
  if (isDigest(tag)) return { ...repositoryOf(reference), digest: tag };
  if (tag !== "") {
    if (!isTag(tag)) throw invalidArgument("invalid tag format");
    return { ...repositoryOf(reference), tag };
  }
  // With both, the digest says what and the tag is only words.
  if (reference.digest !== undefined)
    return { ...repositoryOf(reference), digest: reference.digest };
  return reference.tag === undefined ? { ...reference, tag: "latest" } : reference;
}

/** Tells, too, whether something new came. */
async function pullOne(
  deps: PullDeps,
  repository: Repository,
  reference: Reference,
  request: PullRequest,
): Promise<{ readonly fresh: boolean; readonly fetched: FetchedTarget }> {
  const { store } = deps;
  using hold = store.holds.open();
  const documents = new DocumentFetcher(store, repository, hold, request.signal);
  try {
    const { target, fetched } = await fetchDocuments(store, documents, reference, request);
    hold.image(fetched.manifestDescriptor.digest);
    request.emit({
      id: reference.digest ?? reference.tag ?? "",
      status: `Pulling from ${reference.path}`,
    });
    const name = canonicalName(reference);
    const known = store.metadata.names.get(name)?.digest === target.digest;
    const complete = isComplete(store, fetched);
    if (!complete) await pullContent(deps, repository, fetched, hold, request);
    if (request.leaseOwner === "") finish(store, reference, target, fetched);
    else await keep(store, request.leaseOwner, target, fetched);
    await store.metadata.flush();
    request.emit({ status: `Digest: ${target.digest}` });
    return { fresh: !(known && complete), fetched };
  } catch (error) {
    store.collector.schedule();
    throw error;
  }
}

async function fetchDocuments(
  store: Store,
  documents: DocumentFetcher,
  reference: Reference,
  request: PullRequest,
): Promise<{ target: Descriptor; fetched: FetchedTarget }> {
  try {
    const target = await documents.target(reference.digest ?? reference.tag ?? "latest");
    leasePartial(store, target);
    const wanted = request.platform ?? store.host;
    const fetched = await documents.manifest(target, wanted, request.platform !== undefined);
    checkLayers(fetched);
    return { target, fetched };
  } catch (error) {
    throw explainRefusal(error, reference);
  }
}

/** Keeps what a pull has fetched through a crash or a cancellation, for the next try. */
function leasePartial(store: Store, target: Descriptor): void {
  store.metadata.change((change) => {
    change.putLease(partialLeasePrefix + target.digest, store.nowNano() + partialTtlNano, [
      { type: "blob", id: target.digest },
    ]);
  });
}

function checkLayers({ manifest }: FetchedTarget): void {
  const odd = manifest.layers.find(({ mediaType }) => !isLayerType(mediaType));
  if (odd !== undefined) {
    throw invalidArgument(`unsupported media type ${odd.mediaType}: the image cannot be unpacked`);
  }
}

function isComplete(store: Store, fetched: FetchedTarget): boolean {
  const view = store.catalog.cached(fetched.manifestDescriptor.digest)?.manifests[0];
  if (view === undefined || !isAvailable(view, (digest) => store.metadata.blobs.has(digest))) {
    return false;
  }
  const top = view.chain.at(-1);
  return top === undefined || store.metadata.snapshots.has(top);
}

async function pullContent(
  deps: PullDeps,
  repository: Repository,
  fetched: FetchedTarget,
  hold: Hold,
  request: PullRequest,
): Promise<void> {
  const { store } = deps;
  const { manifest, manifestDescriptor, target } = fetched;
  const resources = [manifestDescriptor, manifest.config, ...manifest.layers].map(({ digest }) => ({
    type: "blob" as const,
    id: digest,
  }));
  const view = (await store.catalog.view(manifestDescriptor.digest)).manifests[0];
  if (view === undefined) throw invalidArgument("manifest: is no image");
  store.metadata.change((change) => {
    const expires = store.nowNano() + partialTtlNano;
    change.putLease(partialLeasePrefix + target.digest, expires, [
      ...resources,
      ...view.chain.map((id) => ({ type: "snapshot" as const, id })),
    ]);
  });
  await pullLayers(deps, { repository, view, hold, emit: request.emit, signal: request.signal });
}

/** Content that is no image. */
async function keep(
  store: Store,
  owner: string,
  target: Descriptor,
  { manifestDescriptor: { digest } }: FetchedTarget,
): Promise<void> {
  store.catalog.forget(digest);
  const view = (await store.catalog.view(digest)).manifests[0];
  store.metadata.change((change) => {
    change.putLease(owner, unclaimedUntil(store, owner), [
      { type: "blob", id: target.digest },
      ...contentLease(digest, view?.chain.at(-1) ?? ""),
    ]);
    change.deleteLease(partialLeasePrefix + target.digest);
  });
}

function finish(
  store: Store,
  reference: Reference,
  target: Descriptor,
  fetched: FetchedTarget,
): void {
  const { domain, path } = reference;
  store.catalog.forget(target.digest);
  store.metadata.change((change) => {
    recordImage(store, change, target, [canonicalName(reference)]);
    change.deleteLease(partialLeasePrefix + target.digest);
    for (const { digest } of [fetched.manifest.config, ...fetched.manifest.layers]) {
      change.putSource({ digest, host: domain, repository: path });
    }
    change.event({
      type: "image",
      action: "pull",
      actorId: familiarName(reference),
      attributes: eventAttributes(
        store,
        fetched.manifestDescriptor.digest,
        familiarRepository(reference),
      ),
    });
  });
}
