/** Writable snapshots and views over chains of layers. */
import { alreadyExists, invalidArgument, notFound } from "@gantry/errors";
import type { SnapshotKind, SnapshotRecord } from "../domain/records.ts";
import { layerKeyNow } from "./commit-snapshot.ts";
import type { Store } from "./store.ts";

/** How to mount a snapshot. */
export interface MountDescription {
  /** Uppermost first; never empty. */
  readonly lowerDirs: readonly string[];
  /** Empty = read-only. */
  readonly upperDir: string;
  readonly workDir: string;
  readonly mountpoint: string;
}

export interface PrepareRequest {
  readonly key: string;
  readonly parent: string;
  readonly leaseOwner: string;
}

/** Makes a snapshot, or finds the one that an earlier call of the same kind made. */
export function prepareSnapshot(
  store: Store,
  kind: "active" | "view",
  request: PrepareRequest,
): MountDescription {
  const { metadata, dirs } = store;
  if (request.key === "") throw invalidArgument("a snapshot needs a key");
  const known = metadata.snapshots.get(request.key);
  const parent = layerKeyNow(store, request.parent);
  if (known !== undefined) {
    if (known.kind !== kind || known.parent !== parent) {
      throw alreadyExists(`snapshot ${request.key} already exists with another parent or kind`);
    }
    return describeMount(store, known);
  }
  const lowers = lowerRecords(store, parent);
  const [top] = lowers;
  const id = dirs.create(kind, top && dirs.treeOf(top.id));
  const record: SnapshotRecord = {
    id,
    key: request.key,
    kind,
    parent,
    sizeBytes: 0,
    inodes: 0,
    createdNano: store.nowNano(),
    leaseOwner: request.leaseOwner,
    unsyncedBoot: "",
  };
  try {
    metadata.change((change) => {
      change.putSnapshot(record);
      if (request.leaseOwner !== "") {
        change.putLease(request.leaseOwner, 0n, [{ type: "snapshot", id: request.key }]);
      }
    });
  } catch (error) {
    dirs.remove(id);
    throw error;
  }
  flushSoon(store);
  return describeMount(store, record);
}

/** Durable within moments; the caller's own record, written after ours, need not wait for it. */
function flushSoon(store: Store): void {
  store.metadata.flush().catch((error: unknown) => {
    store.logger.error({ err: error }, "cannot sync the metadata");
  });
}

/** The chain below, uppermost first. Throws not_found. */
function lowerRecords(store: Store, parent: string): SnapshotRecord[] {
  const found: SnapshotRecord[] = [];
  for (let key = parent; key !== ""; ) {
    const record = store.metadata.snapshots.get(key);
    if (record?.kind !== "layer")
      throw notFound("snapshot", key, `parent snapshot ${key} not found`);
    found.push(record);
    key = record.parent;
  }
  return found;
}

/** Trees below a snapshot, uppermost first; never empty. */
export function lowerTrees(
  store: Store,
  { parent, kind }: Pick<SnapshotRecord, "parent" | "kind">,
): readonly string[] {
  const { dirs } = store;
  const lowers = lowerRecords(store, parent).map(({ id }) => dirs.treeOf(id));
  if (kind === "active") return [...lowers, dirs.baseTree];
  return lowers.length === 0 ? [dirs.emptyTree] : lowers;
}

function describeMount(store: Store, record: SnapshotRecord): MountDescription {
  const { dirs } = store;
  const writable = record.kind === "active";
  return {
    lowerDirs: lowerTrees(store, record),
    upperDir: writable ? dirs.treeOf(record.id) : "",
    workDir: writable ? dirs.workOf(record.id) : "",
    mountpoint: dirs.mountpointOf(record.id),
  };
}

/** A snapshot that is not a layer. Throws not_found. */
export function findSnapshot(store: Store, key: string): SnapshotRecord {
  const record = store.metadata.snapshots.get(key);
  if (record === undefined || record.kind === "layer") {
    throw snapshotNotFound(key);
  }
  return record;
}

export function snapshotNotFound(key: string): Error {
  return notFound("snapshot", key, `snapshot ${key} not found`);
}

export function getMounts(store: Store, key: string): MountDescription {
  return describeMount(store, findSnapshot(store, key));
}

/**
 * What `read` makes of a snapshot's tree. Removal does not wait for readers: it is told as such, whether it made the
 * reading fail or let it take a half-deleted tree for the whole.
 * Errors: not_found, those of `read`.
 */
export async function readSnapshot<T>(
  store: Store,
  key: string,
  read: (record: SnapshotRecord) => Promise<T>,
): Promise<T> {
  const record = findSnapshot(store, key);
  const checkThere = (): void => {
    if (findSnapshot(store, key).id !== record.id) throw snapshotNotFound(key);
  };
  let result: T;
  try {
    result = await read(record);
  } catch (error) {
    checkThere();
    throw error;
  }
  checkThere();
  return result;
}

/** Idempotent. The trees are deleted in the background. */
export function removeSnapshot(store: Store, key: string): void {
  const record = store.metadata.snapshots.get(key);
  if (record === undefined) return;
  if (record.kind === "layer") throw invalidArgument(`${key} is a layer of images`);
  store.metadata.change((change) => {
    change.deleteSnapshot(key);
  });
  store.dirs.remove(record.id);
}

/** Bytes and inodes of a snapshot. */
export interface SnapshotUsage {
  readonly sizeBytes: number;
  readonly totalSizeBytes: number;
  readonly inodes: number;
}

export async function snapshotUsage(
  store: Store,
  key: string,
  signal: AbortSignal,
): Promise<SnapshotUsage> {
  return readSnapshot(store, key, async ({ id, kind, parent }) => {
    const own =
      kind === "active" ? await store.dirs.usage(id, signal) : { sizeBytes: 0, inodes: 0 };
    const below = lowerRecords(store, parent).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return { ...own, totalSizeBytes: own.sizeBytes + below };
  });
}

/** Layers, or what isn't one. */
export function listSnapshots(store: Store, layers: boolean): readonly SnapshotRecord[] {
  const isLayer = (kind: SnapshotKind): boolean => kind === "layer";
  return [...store.metadata.snapshots.values()].filter(({ kind }) => isLayer(kind) === layers);
}
