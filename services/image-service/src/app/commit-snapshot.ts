/** Snapshots that become layers: a build's steps. */
import { alreadyExists, invalidArgument, notFound } from "@gantry/errors";
import { chainIds, type Descriptor, type Digest, parseDigest, sha256Digest } from "@gantry/oci";
import type { SnapshotRecord } from "../domain/records.ts";
import { unpackLimits } from "./limits.ts";
import { packTree } from "./pack-tree.ts";
import { lowerTrees, readSnapshot, snapshotNotFound } from "./snapshots.ts";
import type { Store } from "./store.ts";

/** Keys of layers that have no chain ID yet begin so. */
const buildLayerPrefix = "build/";

export interface CommitSnapshotRequest {
  readonly key: string;
  readonly layerKey: string;
  readonly leaseOwner: string;
  /** The snapshot stays what it is, and the layer is a copy of it. */
  readonly keep: boolean;
  readonly signal: AbortSignal;
}

/** Makes a layer of a snapshot, in place, or of a copy of it. */
export async function commitSnapshot(
  store: Store,
  request: CommitSnapshotRequest,
): Promise<{ readonly sizeBytes: number; readonly inodes: number }> {
  const { key, layerKey, leaseOwner } = request;
  if (!layerKey.startsWith(buildLayerPrefix) || leaseOwner === "") {
    throw invalidArgument(
      `a layer's key begins with ${buildLayerPrefix}, and a lease owner keeps it`,
    );
  }
  const { metadata, dirs } = store;
  const done = metadata.snapshots.get(layerKey);
  const record = metadata.snapshots.get(key);
  if (done !== undefined && (record === undefined || request.keep)) return done;
  if (done !== undefined) throw alreadyExists(`layer ${layerKey} exists already`);
  if (record?.kind !== "active") throw snapshotNotFound(key);
  if (request.keep) return await commitCopy(store, record, request);
  const usage = await readSnapshot(store, key, ({ id }) => dirs.usage(id, request.signal));
  const layer: SnapshotRecord = {
    ...record,
    key: layerKey,
    kind: "layer",
    leaseOwner: "",
    ...usage,
    unsyncedBoot: usage.inodes === 0 ? "" : store.layerSync.bootId,
  };
  metadata.change((change) => {
    change.deleteSnapshot(key);
    change.putSnapshot(layer);
    change.putLease(leaseOwner, 0n, [{ type: "snapshot", id: layerKey }]);
  });
  dirs.seal(record.id);
  // The builder mounts its trees so that nothing waits for the disk.
  if (usage.inodes > 0) store.layerSync.schedule();
  return usage;
}

/** The copy comes by the archive that the layer will be packed as: what gets lost in one would be lost in it anyway. */
async function commitCopy(
  store: Store,
  record: SnapshotRecord,
  { key, layerKey, leaseOwner, signal }: CommitSnapshotRequest,
): Promise<{ readonly sizeBytes: number; readonly inodes: number }> {
  const { metadata, dirs, program, content, layerSync } = store;
  using hold = store.holds.open();
  const { layer } = await readSnapshot(store, key, ({ id }) =>
    packTree(store, hold, dirs.treeOf(id), signal),
  );
  const id = dirs.create("layer", dirs.treeOf(record.id));
  try {
    const directory = dirs.treeOf(id);
    const limits = await unpackLimits(directory);
    const lowers = lowerTrees(store, { parent: record.parent, kind: "layer" });
    const source = { kind: "file" as const, path: content.pathOf(layer.digest) };
    await program.unpack({ source, directory, lowers, limits, signal });
    const usage = await dirs.usage(id, signal);
    metadata.change((change) => {
      change.putSnapshot({
        ...{ ...record, ...usage, id, key: layerKey, kind: "layer", leaseOwner: "" },
        ...{ createdNano: store.nowNano(), unsyncedBoot: layerSync.bootId },
      });
      change.putLease(leaseOwner, 0n, [{ type: "snapshot", id: layerKey }]);
    });
    layerSync.schedule();
    return usage;
  } catch (error) {
    dirs.remove(id);
    store.collector.schedule();
    throw error;
  }
}

/** A layer's blob, and the key that the layer has now. */
export interface PackedLayer {
  readonly chainId: Digest;
  readonly diffId: Digest;
  readonly layer: Descriptor;
}

export async function packSnapshot(
  store: Store,
  request: {
    readonly layerKey: string;
    readonly parentChainId: string;
    readonly leaseOwner: string;
    /** Digests of blobs that may have much in common with it. */
    readonly like: readonly string[];
    readonly signal: AbortSignal;
  },
): Promise<PackedLayer> {
  const { layerKey, leaseOwner } = request;
  const record = store.metadata.snapshots.get(layerKey);
  if (record?.kind !== "layer") throw notFound("snapshot", layerKey, `layer ${layerKey} not found`);
  using hold = store.holds.open();
  hold.snapshot(layerKey);
  const directory = store.dirs.treeOf(record.id);
  const like = request.like.map(parseDigest);
  const packed = await packTree(store, hold, directory, request.signal, like);
  const chainId = chainOf(request.parentChainId, packed.diffId);
  store.metadata.change((change) => {
    // An equal layer may be there already, by a pull or another step: then both stay.
    if (!store.metadata.snapshots.has(chainId)) rename(store, change, layerKey, chainId);
    change.putLease(leaseOwner, 0n, [
      { type: "snapshot", id: chainId },
      { type: "blob", id: packed.layer.digest },
    ]);
  });
  await store.metadata.flush();
  return { chainId, ...packed };
}

function chainOf(parent: string, diffId: Digest): Digest {
  const [first = diffId] = chainIds([diffId]);
  return parent === "" ? first : sha256Digest(`${parseDigest(parent)} ${diffId}`);
}

type Change = Parameters<Parameters<Store["metadata"]["change"]>[0]>[0];

/** The layer's key and its children's parent change together. */
function rename(store: Store, change: Change, from: string, to: Digest): void {
  const record = store.metadata.snapshots.get(from);
  // Packed by somebody else meanwhile.
  if (record === undefined) return;
  change.deleteSnapshot(from);
  change.putSnapshot({ ...record, key: to });
  for (const child of store.metadata.snapshots.values()) {
    if (child.parent === from) change.putSnapshot({ ...child, parent: to });
  }
  for (const { owner, resources, expiresNano } of store.metadata.leases.values()) {
    if (!resources.some(({ type, id }) => type === "snapshot" && id === from)) continue;
    change.putLease(owner, expiresNano, [{ type: "snapshot", id: to }]);
  }
  store.renamed.set(from, to);
}

/** The key that a layer has now: callers may still know it by an earlier one. */
export function layerKeyNow(store: Store, key: string): string {
  return store.metadata.snapshots.has(key) ? key : (store.renamed.get(key) ?? key);
}
