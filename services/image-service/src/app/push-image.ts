/** `docker push`. */
import { EngineError, invalidArgument, notFound, unauthenticated } from "@gantry/errors";
import {
  canonicalName,
  type Descriptor,
  type Digest,
  familiarName,
  familiarRepository,
  formatPlatform,
  isNonDistributable,
  isTag,
  maxManifestBytes,
  type Platform,
  parseReference,
  type Reference,
  repositoryOf,
  shortDigest,
} from "@gantry/oci";
import {
  chooseManifest,
  contentOf,
  isAvailable,
  type ManifestView,
  type TargetView,
} from "../domain/image-view.ts";
import type { Emit } from "../domain/progress.ts";
import type { Credential, Registries, Repository } from "../ports/registry.ts";
import type { Hold } from "./holds.ts";
import { eventAttributes } from "./record-image.ts";
import type { Slots } from "./slots.ts";
import type { Store } from "./store.ts";

/** Bytes read at once. */
const chunkBytes = 1024 * 1024;

export interface PushDeps {
  readonly store: Store;
  readonly registries: Registries;
  /** Uploads at a time. */
  readonly slots: Slots;
}

export interface PushRequest {
  readonly reference: string;
  /** Empty: all tags of the repository, or a target by its digest. */
  readonly tag: string;
  readonly platform: Platform | undefined;
  readonly credential: Credential | undefined;
  /** What to push, which need not be an image; undefined: the image of that name. */
  readonly target: Digest | undefined;
  /** The registry is reached without TLS, or with a certificate of anybody's. */
  readonly insecure: boolean;
  readonly emit: Emit;
  readonly signal: AbortSignal;
}

export async function pushImage(deps: PushDeps, request: PushRequest): Promise<void> {
  const reference = parseReference(request.reference);
  const tag = request.tag || (reference.tag ?? "");
  if (tag !== "" && !isTag(tag)) throw invalidArgument("invalid tag format");
  const { domain, path } = reference;
  // Told before anything is looked up: what is missing is an error in the stream.
  request.emit({ status: `The push refers to repository [${domain}/${path}]` });
  const { target, credential, insecure } = request;
  const isByDigest = target !== undefined && tag === "";
  const names = isByDigest ? [repositoryOf(reference)] : wantedNames(deps.store, reference, tag);
  const repository = deps.registries.repository(reference, "push", credential, { insecure });
  for (const name of names) await pushOne(deps, repository, name, request);
}

/** Throws not_found in Docker's words. */
function wantedNames(store: Store, reference: Reference, tag: string): Reference[] {
  if (reference.digest !== undefined) throw noSuchTag(reference);
  if (tag !== "") return [{ ...repositoryOf(reference), tag }];
  const prefix = `${canonicalName(repositoryOf(reference))}:`;
  const names = [...store.metadata.names.keys()].filter((name) => name.startsWith(prefix)).sort();
  if (names.length === 0) {
    const repository = familiarRepository(reference);
    throw notFound(
      "image",
      repository,
      `An image does not exist locally with the tag: ${repository}`,
    );
  }
  return names.map(parseReference);
}

function noSuchTag(name: Reference): Error {
  return notFound("image", familiarName(name), `tag does not exist: ${familiarName(name)}`);
}

async function pushOne(
  deps: PushDeps,
  repository: Repository,
  name: Reference,
  request: PushRequest,
): Promise<void> {
  const { store } = deps;
  const target = request.target ?? imageOf(store, name);
  using hold = store.holds.open();
  hold.image(target);
  const plan = planPush(store, await store.catalog.view(target), request.platform, hold);
  if (plan.note !== undefined) request.emit({ aux: JSON.stringify(plan.note) });
  const push = new Push(deps, repository, name, request);
  await push.run(plan);
  request.emit({
    status: `${name.tag ?? plan.root.digest}: digest: ${plan.root.digest} size: ${plan.root.size}`,
  });
  if (request.target !== undefined) return;
  store.metadata.change((change) => {
    change.event({
      type: "image",
      action: "push",
      actorId: familiarName(name),
      attributes: eventAttributes(store, target, familiarRepository(name)),
    });
  });
}

/** Throws not_found in Docker's words. */
function imageOf(store: Store, name: Reference): Digest {
  const record = store.metadata.names.get(canonicalName(name));
  if (record !== undefined) return record.digest;
  throw noSuchTag(name);
}

interface PushPlan {
  readonly views: readonly ManifestView[];
  /** Indexes from the innermost out; empty when one manifest is pushed. */
  readonly indexes: readonly Digest[];
  readonly root: Descriptor;
  /** For newer clients: why less than the whole was pushed. */
  readonly note: unknown;
}

/** The whole target when it is here, else the one manifest that is. */
function planPush(
  store: Store,
  target: TargetView,
  platform: Platform | undefined,
  hold: Hold,
): PushPlan {
  const has = (digest: Digest): boolean => store.metadata.blobs.has(digest);
  const complete = target.manifests.every((view) => isAvailable(view, has));
  if (platform === undefined && complete) {
    return holdAll(hold, {
      views: target.manifests,
      indexes: [...target.indexes].reverse(),
      root: target.target,
      note: undefined,
    });
  }
  const choice = chooseManifest(target, platform ?? store.host, {
    strict: platform !== undefined,
    has,
  });
  if (choice === undefined || !isAvailable(choice.view, has)) {
    throw notFound(
      "image",
      target.target.digest,
      platform === undefined
        ? "no complete manifest of the image is present to push"
        : `no suitable manifest for platform ${formatPlatform(platform)} is present to push`,
    );
  }
  const root = choice.view.descriptor;
  const note =
    root.digest === target.target.digest
      ? undefined
      : {
          manifestPushedInsteadOfIndex: true,
          originalIndex: target.target,
          selectedManifest: root,
        };
  return holdAll(hold, { views: [choice.view], indexes: [], root, note });
}

function holdAll(hold: Hold, plan: PushPlan): PushPlan {
  for (const view of plan.views) {
    hold.blob(view.descriptor.digest);
    for (const { digest } of contentOf(view)) hold.blob(digest);
  }
  for (const digest of plan.indexes) hold.blob(digest);
  return plan;
}

class Push {
  readonly #deps: PushDeps;
  readonly #repository: Repository;
  readonly #name: Reference;
  readonly #request: PushRequest;

  constructor(deps: PushDeps, repository: Repository, name: Reference, request: PushRequest) {
    this.#deps = deps;
    this.#repository = repository;
    this.#name = name;
    this.#request = request;
  }

  async run(plan: PushPlan): Promise<void> {
    const { emit, signal } = this.#request;
    const layers = new Map<Digest, Descriptor>();
    const configs = new Map<Digest, Descriptor>();
    for (const view of plan.views) {
      for (const layer of view.manifest?.layers ?? []) {
        if (!isNonDistributable(layer.mediaType)) layers.set(layer.digest, layer);
      }
      if (view.manifest !== undefined)
        configs.set(view.manifest.config.digest, view.manifest.config);
    }
    for (const digest of layers.keys()) {
      emit({ id: shortDigest(digest), status: "Preparing", detail: {} });
    }
    const stop = new AbortController();
    const all = AbortSignal.any([signal, stop.signal]);
    const uploads = [
      ...[...layers.values()].map((layer) => this.#layer(layer, all)),
      ...[...configs.values()].map((config) => this.#config(config, all)),
    ];
    try {
      await Promise.all(uploads);
    } catch (error) {
      stop.abort();
      await Promise.allSettled(uploads);
      throw explainPush(error, this.#name);
    }
    await this.#manifests(plan);
  }

  async #layer(layer: Descriptor, signal: AbortSignal): Promise<void> {
    const { emit } = this.#request;
    const id = shortDigest(layer.digest);
    if (this.#deps.slots.free === 0) emit({ id, status: "Waiting", detail: {} });
    using _slot = await this.#deps.slots.take(signal);
    if (await this.#repository.hasBlob(layer.digest, signal)) {
      emit({ id, status: "Layer already exists", detail: {} });
    } else {
      const source = await this.#mount(layer.digest, signal);
      if (source !== undefined) {
        emit({ id, status: `Mounted from ${source}`, detail: {} });
      } else {
        await this.#upload(layer, id, signal);
        emit({ id, status: "Pushed", detail: {} });
      }
    }
    this.#remember(layer.digest);
  }

  async #config(config: Descriptor, signal: AbortSignal): Promise<void> {
    using _slot = await this.#deps.slots.take(signal);
    if (!(await this.#repository.hasBlob(config.digest, signal))) {
      await this.#upload(config, undefined, signal);
    }
    this.#remember(config.digest);
  }

  /** Tries the repositories of the same registry that are known to have the blob. */
  async #mount(digest: Digest, signal: AbortSignal): Promise<string | undefined> {
    const { domain, path } = this.#name;
    const sources = this.#deps.store.metadata
      .sourcesOf(digest, domain)
      .filter((source) => source !== path);
    for (const source of sources.slice(0, 3)) {
      try {
        if (await this.#repository.mount(digest, source, signal)) return source;
      } catch (error) {
        // Not being allowed to read there is no reason not to upload.
        if (signal.aborted || !(error instanceof EngineError) || error.kind === "internal")
          throw error;
      }
    }
    return undefined;
  }

  async #upload(blob: Descriptor, id: string | undefined, signal: AbortSignal): Promise<void> {
    const { emit } = this.#request;
    const report = (current: number): void => {
      if (id !== undefined) emit({ id, status: "Pushing", detail: { current, total: blob.size } });
    };
    report(0);
    await this.#repository.upload(
      { descriptor: blob, open: (offset) => this.#read(blob.digest, offset, report) },
      signal,
    );
  }

  async *#read(
    digest: Digest,
    offset: number,
    report: (current: number) => void,
  ): AsyncGenerator<Uint8Array> {
    await using handle = await this.#deps.store.content.open(digest);
    for (let position = offset; ; ) {
      const buffer = Buffer.allocUnsafe(chunkBytes);
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
      position += bytesRead;
      report(position);
    }
  }

  #remember(digest: Digest): void {
    const { domain: host, path: repository } = this.#name;
    this.#deps.store.metadata.change((change) => {
      change.putSource({ digest, host, repository });
    });
  }

  /** Children by digest, then the root by tag: a tag never points to what is not there yet. */
  async #manifests(plan: PushPlan): Promise<void> {
    for (const { descriptor } of plan.views) {
      if (descriptor.digest !== plan.root.digest)
        await this.#put(descriptor.digest, descriptor.digest);
    }
    for (const digest of plan.indexes) {
      if (digest !== plan.root.digest) await this.#put(digest, digest);
    }
    await this.#put(plan.root.digest, this.#name.tag ?? plan.root.digest);
  }

  async #put(digest: Digest, tagOrDigest: string): Promise<void> {
    const { store } = this.#deps;
    const bytes = await store.content.read(digest, maxManifestBytes);
    const mediaType = await mediaTypeOf(store, digest);
    const { signal } = this.#request;
    await this.#repository
      .putManifest(tagOrDigest, { bytes, mediaType }, signal)
      .catch((error: unknown) => {
        throw explainPush(error, this.#name);
      });
  }
}

async function mediaTypeOf(store: Store, digest: Digest): Promise<string> {
  const known = store.metadata.images.get(digest)?.mediaType;
  if (known !== undefined && known !== "") return known;
  const document = await store.catalog.document(digest, "");
  if (document.mediaType !== undefined) return document.mediaType;
  return `application/vnd.oci.image.${document.kind}.v1+json`;
}

function explainPush(error: unknown, name: Reference): unknown {
  if (!(error instanceof EngineError) || !("code" in error)) return error;
  const denied = error.kind === "permission_denied" || error.code === "DENIED";
  if (denied) {
    return new EngineError(
      "permission_denied",
      "push access denied, repository does not exist or may require authorization: server message: " +
        error.message,
      { cause: error },
    );
  }
  if (error.kind === "unauthenticated") {
    return unauthenticated(
      `push access denied to ${familiarRepository(name)}, repository does not exist or may require authorization: server message: ${error.message}`,
      { cause: error },
    );
  }
  return error;
}
