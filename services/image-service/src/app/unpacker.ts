/** Unpacks images' layers to snapshots, each chain once however many ask. */
import { canceled, hasKind, internal, invalidArgument } from "@gantry/errors";
import type { Digest } from "@gantry/oci";
import type { ManifestView } from "../domain/image-view.ts";
import type { LayerProgram, LayerSource } from "../ports/layers.ts";
import type { Metadata } from "../ports/metadata.ts";
import type { SnapshotDirs } from "../ports/snapshot-dirs.ts";
import type { Hold } from "./holds.ts";
import { unpackLimits } from "./limits.ts";

/** One image to unpack. */
export interface UnpackRequest {
  /** With manifest and config present. */
  readonly view: ManifestView;
  /** Keeps the chain from the collector. */
  readonly hold: Hold;
  /** Where a layer's bytes are; may wait until there are some. */
  readonly sourceOf: (index: number) => Promise<LayerSource>;
  /** Resolves when a layer's blob is whole and recorded. */
  readonly blobReady: (index: number) => Promise<void>;
  readonly onBegin?: ((index: number) => void) | undefined;
  readonly onDone?: ((index: number) => void) | undefined;
  readonly signal: AbortSignal;
}

/** The unpacker. */
export interface Unpacker {
  /** Resolves when all layers are unpacked, in order, lowest first. */
  unpack(request: UnpackRequest): Promise<void>;
}

export interface UnpackerDeps {
  readonly metadata: Metadata;
  readonly dirs: SnapshotDirs;
  readonly program: LayerProgram;
  readonly nowNano: () => bigint;
}

export function createUnpacker(deps: UnpackerDeps): Unpacker {
  const running = new Map<string, Promise<void>>();

  const unpackOnce = async (request: UnpackRequest, index: number): Promise<void> => {
    const key = at(request.view.chain, index);
    request.hold.snapshot(key);
    for (;;) {
      if (deps.metadata.snapshots.has(key)) return;
      const other = running.get(key);
      if (other === undefined) break;
      // Somebody else's failure is not ours: try again then.
      await untilSettled(other, request.signal);
      if (request.signal.aborted) throw canceled("unpacking was canceled");
    }
    const work = unpackLayer(deps, request, index).finally(() => running.delete(key));
    running.set(key, work);
    await work;
  };

  return {
    async unpack(request) {
      checkShape(request.view);
      for (let index = 0; index < request.view.chain.length; index++) {
        await unpackOnce(request, index);
        request.onDone?.(index);
      }
    },
  };
}

function checkShape(view: ManifestView): void {
  const layers = view.manifest?.layers.length ?? 0;
  if (view.config === undefined) throw invalidArgument("image config is missing or malformed");
  if (layers !== view.diffIds.length) {
    throw invalidArgument(
      `mismatched image rootfs and manifest layers: ${view.diffIds.length} diff IDs, ${layers} layers`,
    );
  }
}

function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw internal(`layer ${index} is missing`);
  return item;
}

async function untilSettled(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<undefined>();
  const onAbort = (): void => {
    aborted.resolve(undefined);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race([work.catch(() => undefined), aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

async function unpackLayer(
  deps: UnpackerDeps,
  request: UnpackRequest,
  index: number,
): Promise<void> {
  const { metadata, dirs, program } = deps;
  const { view, signal } = request;
  const source = await request.sourceOf(index);
  request.onBegin?.(index);
  const lowers = view.chain
    .slice(0, index)
    .map((key) => dirs.treeOf(lowerId(metadata, key)))
    .reverse();
  const id = dirs.create("layer", lowers[0]);
  try {
    const directory = dirs.treeOf(id);
    const limits = await unpackLimits(directory);
    const found = await program.unpack({ source, directory, lowers, limits, signal });
    checkLayer(view, index, found);
    await request.blobReady(index);
    metadata.change((change) => {
      change.putSnapshot({
        id,
        key: at(view.chain, index),
        kind: "layer",
        parent: view.chain[index - 1] ?? "",
        sizeBytes: found.diskBytes,
        inodes: found.entries,
        createdNano: deps.nowNano(),
        leaseOwner: "",
      });
    });
  } catch (error) {
    dirs.remove(id);
    throw describeFailure(view, index, error);
  }
}

function lowerId(metadata: Metadata, key: string): number {
  const record = metadata.snapshots.get(key);
  if (record === undefined) throw internal(`layer ${key} is missing`);
  return record.id;
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
