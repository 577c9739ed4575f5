/** `docker commit`: a snapshot's changes become a layer over the parent image. */
import { invalidArgument, notFound } from "@gantry/errors";
import {
  type Descriptor,
  type Digest,
  type HistoryItem,
  maxConfigBytes,
  parseDigest,
  parseDocument,
  type Reference,
} from "@gantry/oci";
import { applyChanges, type ConfigObject } from "../domain/apply-changes.ts";
import type { ManifestView } from "../domain/image-view.ts";
import { chooseManifest } from "../domain/image-view.ts";
import type { Hold } from "./holds.ts";
import { type PackedTree, packTree } from "./pack-tree.ts";
import { putImage } from "./put-image.ts";
import { unpackPresent } from "./resolve-image.ts";
import { readSnapshot } from "./snapshots.ts";
import type { Store } from "./store.ts";
import { newName } from "./tag-image.ts";

export interface CommitRequest {
  readonly snapshotKey: string;
  /** ID, or empty. */
  readonly parentImage: string;
  /** Manifest digest, or empty. */
  readonly parentManifest: string;
  readonly configJson: Uint8Array;
  readonly author: string;
  readonly comment: string;
  readonly createdBy: string;
  readonly repository: string;
  readonly tag: string;
  readonly changes: readonly string[];
  readonly emptyLayer: boolean;
  readonly signal: AbortSignal;
}

/** Returns the new image's ID. */
export async function commitImage(store: Store, request: CommitRequest): Promise<Digest> {
  const name = request.repository === "" ? undefined : newName(request.repository, request.tag);
  const config = applyChanges(readConfig(request.configJson), request.changes);
  using hold = store.holds.open();
  try {
    const parent = await findParent(store, hold, request);
    const packed = request.emptyLayer
      ? undefined
      : await packSnapshot(store, hold, request, parent);
    return await putCommitted(store, hold, { request, parent, packed, config, name });
  } catch (error) {
    store.collector.schedule();
    throw error;
  }
}

function readConfig(bytes: Uint8Array): ConfigObject {
  if (bytes.length === 0) return {};
  const value = parseDocument(bytes, "config", maxConfigBytes);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidArgument("config: must be an object");
  }
  return value as ConfigObject;
}

/** What the new image builds on. */
interface Parent {
  readonly view: ManifestView | undefined;
  /** The parent's whole config, of which what we do not know is kept. */
  readonly config: ConfigObject;
}

async function findParent(store: Store, hold: Hold, request: CommitRequest): Promise<Parent> {
  if (request.parentImage === "") return { view: undefined, config: {} };
  const image = parseDigest(request.parentImage);
  hold.image(image);
  const target = await store.catalog.view(image);
  const chosen = chooseManifest(target, store.host, {
    strict: false,
    has: (digest) => store.metadata.blobs.has(digest),
  });
  const view =
    request.parentManifest === ""
      ? chosen?.view
      : target.manifests.find(({ descriptor }) => descriptor.digest === request.parentManifest);
  if (view?.manifest === undefined) throw notFound("image", request.parentImage);
  hold.blob(view.manifest.config.digest);
  for (const { digest } of view.manifest.layers) {
    hold.blob(digest);
    if (!store.metadata.blobs.has(digest)) {
      throw notFound("content", digest, `content ${digest} of the parent image is missing`);
    }
  }
  const json = await store.catalog.configJson(view);
  return { view, config: parseDocument(json, "image config", maxConfigBytes) as ConfigObject };
}

async function packSnapshot(
  store: Store,
  hold: Hold,
  request: CommitRequest,
  parent: Parent,
): Promise<PackedTree> {
  return readSnapshot(store, request.snapshotKey, async ({ key, id, kind, parent: below }) => {
    if (kind !== "active") throw invalidArgument(`snapshot ${key} has no changes of its own`);
    if (below !== (parent.view?.chain.at(-1) ?? "")) {
      throw invalidArgument(`snapshot ${key} does not lie over image ${request.parentImage}`);
    }
    hold.snapshot(key);
    return packTree(store, hold, store.dirs.treeOf(id), request.signal);
  });
}

interface CommitParts {
  readonly request: CommitRequest;
  readonly parent: Parent;
  readonly packed: PackedTree | undefined;
  readonly config: ConfigObject;
  readonly name: Reference | undefined;
}

async function putCommitted(store: Store, hold: Hold, parts: CommitParts): Promise<Digest> {
  const { request, parent, packed, config, name } = parts;
  const created = new Date(Number(store.nowNano() / 1_000_000n)).toISOString();
  const entry: HistoryItem = {
    created,
    ...(request.createdBy !== "" && { created_by: request.createdBy }),
    ...(request.author !== "" && { author: request.author }),
    ...(request.comment !== "" && { comment: request.comment }),
    ...(packed === undefined && { empty_layer: true }),
  };
  const { os, architecture, variant } = parent.view?.platform ?? store.host;
  const layers: Descriptor[] = [
    ...(parent.view?.manifest?.layers ?? []),
    ...(packed === undefined ? [] : [packed.layer]),
  ];
  const diffIds = [
    ...(parent.view?.diffIds ?? []),
    ...(packed === undefined ? [] : [packed.diffId]),
  ];
  const { author: _author, ...inherited } = parent.config;
  const id = await putImage(store, hold, {
    config: {
      ...inherited,
      created,
      ...(request.author !== "" && { author: request.author }),
      architecture,
      os,
      ...(variant !== undefined && { variant }),
      config,
      rootfs: { type: "layers", diff_ids: diffIds },
      history: [...((parent.config["history"] ?? []) as unknown[]), entry],
    },
    layers,
    name,
    parent: request.parentImage === "" ? "" : parseDigest(request.parentImage),
    action: "create",
  });
  const [view] = (await store.catalog.view(id)).manifests;
  if (view !== undefined) await unpackPresent(store, view, hold, request.signal);
  return id;
}
