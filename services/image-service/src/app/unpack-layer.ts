/** Unpacks one layer into a folder of its own and records it. */
import { hasKind, internal, invalidArgument } from "@gantry/errors";
import type { Digest } from "@gantry/oci";
import type { ManifestView } from "../domain/image-view.ts";
import type { LayerProgram, UnpackedLayer } from "../ports/layers.ts";
import type { Metadata } from "../ports/metadata.ts";
import type { SnapshotDirs } from "../ports/snapshot-dirs.ts";
import type { LayerSync } from "./layer-sync.ts";
import { unpackLimits } from "./limits.ts";
import type { UnpackRequest } from "./unpacker.ts";

export interface UnpackLayerDeps {
  readonly metadata: Metadata;
  readonly dirs: SnapshotDirs;
  readonly program: LayerProgram;
  readonly layerSync: LayerSync;
  readonly nowNano: () => bigint;
}

/** A layer on its way. */
export interface LayerJob {
  /** Number of its folder. */
  readonly id: number;
  /** Resolves when its files are complete, but for what it takes over from the layers below. */
  readonly unpacked: Promise<unknown>;
  /** Resolves when it is recorded, after the layer below. */
  readonly done: Promise<void>;
}

export interface LayerOrder {
  readonly request: UnpackRequest;
  readonly index: number;
  /** Trees of the layers below, uppermost first; some may still be on their way. */
  readonly lowers: readonly string[];
  /** Resolves when the layer below is recorded. */
  readonly below: Promise<void>;
  readonly signal: AbortSignal;
}

export function startLayer(deps: UnpackLayerDeps, order: LayerOrder): LayerJob {
  const id = deps.dirs.create("layer", undefined);
  const unpacked = unpackFiles(deps, order, id);
  // `done` rejects with the same.
  unpacked.catch(() => undefined);
  const done = record(deps, order, { id, unpacked }).catch((error: unknown) => {
    deps.dirs.remove(id);
    throw describeFailure(order.request.view, order.index, error);
  });
  return { id, unpacked, done };
}

async function unpackFiles(
  { dirs, program }: UnpackLayerDeps,
  { request, index, lowers, below, signal }: LayerOrder,
  id: number,
): Promise<UnpackedLayer> {
  const source = await request.sourceOf(index);
  request.onBegin?.(index);
  const directory = dirs.treeOf(id);
  const limits = await unpackLimits(directory);
  return program.unpack({ source, directory, lowers, lowersReady: below, limits, signal });
}

async function record(
  { dirs, metadata, layerSync, nowNano }: UnpackLayerDeps,
  { request, index, lowers, below }: LayerOrder,
  { id, unpacked }: { readonly id: number; readonly unpacked: Promise<UnpackedLayer> },
): Promise<void> {
  const { view } = request;
  const found = await unpacked;
  checkLayer(view, index, found);
  await request.blobReady(index);
  await below;
  const [parent] = lowers;
  // The root of an overlay is that of its uppermost directory.
  if (parent !== undefined && !found.describesTop) dirs.resemble(id, parent);
  metadata.change((change) => {
    change.putSnapshot({
      id,
      key: at(view.chain, index),
      kind: "layer",
      parent: view.chain[index - 1] ?? "",
      sizeBytes: found.diskBytes,
      inodes: found.entries,
      createdNano: nowNano(),
      leaseOwner: "",
      unsyncedBoot: layerSync.bootId,
    });
  });
  layerSync.schedule();
}

function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw internal(`layer ${index} is missing`);
  return item;
}

function checkLayer(
  view: ManifestView,
  index: number,
  found: { readonly diffId: Digest; readonly digest: Digest },
): void {
  const [expected, layer] = [at(view.diffIds, index), view.manifest?.layers[index]];
  if (layer?.digest.startsWith("sha256:") && found.digest !== layer.digest) {
    throw invalidArgument(`unexpected digest ${found.digest}, expected ${layer.digest}`);
  }
  if (found.diffId !== expected) {
    throw invalidArgument(`wrong diff id calculated on extraction "${found.diffId}"`);
  }
}

/** Names the layer, as Docker does. */
function describeFailure(view: ManifestView, index: number, error: unknown): unknown {
  if (!hasKind(error, "invalid_argument") || !(error instanceof Error)) return error;
  const layer = view.manifest?.layers[index]?.digest ?? "";
  return invalidArgument(`failed to extract layer (${layer}): ${error.message}`, { cause: error });
}
