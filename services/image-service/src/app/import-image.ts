/** `docker import`: one tar becomes an image of one layer. */
import { randomUUID } from "node:crypto";
import { type Descriptor, mediaTypes, normalizePlatform, type Platform } from "@gantry/oci";
import { applyChanges } from "../domain/apply-changes.ts";
import type { Emit } from "../domain/progress.ts";
import type { Ingest } from "../ports/content.ts";
import type { UnpackedLayer } from "../ports/layers.ts";
import type { Hold } from "./holds.ts";
import { unpackLimits } from "./limits.ts";
import { packTree } from "./pack-tree.ts";
import { putImage } from "./put-image.ts";
import type { Store } from "./store.ts";
import { newName } from "./tag-image.ts";

export interface ImportRequest {
  readonly input: AsyncIterable<Uint8Array>;
  /** Where the tar comes from: `-` or a URL. */
  readonly source: string;
  readonly repository: string;
  readonly tag: string;
  readonly message: string;
  readonly changes: readonly string[];
  readonly platform: Platform | undefined;
  readonly emit: Emit;
  readonly signal: AbortSignal;
}

/** Throws invalid_argument for a bad name or change, before anything is read. */
export function checkImport(request: Pick<ImportRequest, "repository" | "tag" | "changes">): void {
  if (request.repository !== "") newName(request.repository, request.tag);
  applyChanges({}, request.changes);
}

export async function importImage(store: Store, request: ImportRequest): Promise<void> {
  checkImport(request);
  using hold = store.holds.open();
  try {
    const { layer, unpacked } = await importLayer(store, hold, request);
    const created = new Date(Number(store.nowNano() / 1_000_000n)).toISOString();
    const { os, architecture, variant } = normalizePlatform(request.platform ?? store.host);
    const id = await putImage(store, hold, {
      config: {
        created,
        architecture,
        os,
        ...(variant !== undefined && { variant }),
        config: applyChanges({}, request.changes),
        rootfs: { type: "layers", diff_ids: [unpacked.diffId] },
        history: [{ created, comment: request.message || `Imported from ${request.source}` }],
      },
      layers: [layer],
      name: request.repository === "" ? undefined : newName(request.repository, request.tag),
      parent: "",
      action: "import",
    });
    request.emit({ status: id });
  } catch (error) {
    store.collector.schedule();
    throw error;
  }
}

const layerTypes: Readonly<Record<string, string>> = {
  none: mediaTypes.ociLayer,
  gzip: mediaTypes.ociLayerGzip,
  zstd: mediaTypes.ociLayerZstd,
};

/** Writes the stream as a blob and unpacks it at the same time. */
async function importLayer(
  store: Store,
  hold: Hold,
  request: ImportRequest,
): Promise<{ layer: Descriptor; unpacked: Pick<UnpackedLayer, "diffId"> }> {
  const { dirs, program, signal } = { ...store, signal: request.signal };
  const id = dirs.create("layer", undefined);
  try {
    const directory = dirs.treeOf(id);
    const limits = await unpackLimits(directory);
    const ingest = await store.content.ingest(`import ${randomUUID()}`);
    const [received, unpacking] = await Promise.allSettled([
      receive(ingest, request.input, signal),
      program
        .unpack({ source: { kind: "ingest", ingest }, directory, lowers: [], limits, signal })
        .catch(async (error: unknown) => {
          await ingest.discard(error instanceof Error ? error : new Error(String(error)));
          throw error;
        }),
    ]);
    // What is wrong with the archive ends the writing, too, in words of its own.
    if (unpacking.status === "rejected") throw unpacking.reason;
    if (received.status === "rejected") throw received.reason;
    const [blob, unpacked] = [received.value, unpacking.value];
    hold.blob(blob.digest);
    const mediaType = layerTypes[unpacked.compression];
    if (mediaType !== undefined) {
      store.metadata.change((change) => {
        change.putBlob(blob);
      });
      recordLayer(store, hold, id, unpacked);
      return { layer: { mediaType, digest: blob.digest, size: blob.sizeBytes }, unpacked };
    }
    // Registries and other engines know no such compression: pack the tree anew.
    store.content.remove(blob.digest);
    const packed = await packTree(store, hold, directory, signal);
    recordLayer(store, hold, id, { ...unpacked, diffId: packed.diffId });
    return { layer: packed.layer, unpacked: packed };
  } catch (error) {
    dirs.remove(id);
    throw error;
  }
}

function recordLayer(
  store: Store,
  hold: Hold,
  id: number,
  layer: Pick<UnpackedLayer, "diffId" | "diskBytes" | "entries">,
): void {
  hold.snapshot(layer.diffId);
  if (store.metadata.snapshots.has(layer.diffId)) {
    store.dirs.remove(id);
    return;
  }
  store.metadata.change((change) => {
    change.putSnapshot({
      id,
      key: layer.diffId,
      kind: "layer",
      parent: "",
      sizeBytes: layer.diskBytes,
      inodes: layer.entries,
      createdNano: store.nowNano(),
      leaseOwner: "",
      unsyncedBoot: store.layerSync.bootId,
    });
  });
  store.layerSync.schedule();
}

async function receive(
  ingest: Ingest,
  input: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): ReturnType<Ingest["commit"]> {
  try {
    for await (const chunk of input) {
      signal.throwIfAborted();
      if (ingest.failure !== undefined) throw ingest.failure;
      await ingest.append([chunk]);
    }
    return await ingest.commit({});
  } catch (error) {
    await ingest.discard(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}
