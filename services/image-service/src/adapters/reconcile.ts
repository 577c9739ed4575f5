/** Start-up: rows and files are made to agree. What no row owns goes to the trash; rows without files go. */

import { readdirSync, statSync } from "node:fs";
import path from "node:path";
import { hasErrno } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import type { Digest } from "@gantry/oci";
import type { BlobRecord, SnapshotRecord } from "../domain/records.ts";
import type { ContentStore } from "../ports/content.ts";
import type { Metadata } from "../ports/metadata.ts";
import type { SnapshotDirs } from "../ports/snapshot-dirs.ts";

export interface ReconcileParts {
  readonly metadata: Metadata;
  readonly content: ContentStore;
  readonly dirs: SnapshotDirs;
  readonly logger: Logger;
  /** Of this start of the machine. */
  readonly bootId: string;
}

export function reconcile(parts: ReconcileParts): void {
  const files = blobFiles(parts.content.blobsDir);
  trashUnowned(parts, files);
  const lostBlobs = [...parts.metadata.blobs.values()].filter((row) => !isWhole(row, files));
  const lostTrees = lostSnapshots(parts);
  if (lostBlobs.length + lostTrees.length === 0) return;
  for (const { digest } of lostBlobs)
    parts.logger.error({ digest }, "a blob's file is gone or cut short");
  parts.metadata.change((change) => {
    for (const { digest } of lostBlobs) change.deleteBlob(digest);
    for (const { key } of lostTrees) change.deleteSnapshot(key);
  });
  for (const { id } of lostTrees) parts.dirs.remove(id);
}

/** Snapshots without a folder, layers that a power cut may have left half-written, and layers above them. */
function lostSnapshots({ metadata, dirs, logger, bootId }: ReconcileParts): SnapshotRecord[] {
  const lost = new Map<string, SnapshotRecord>();
  for (const row of metadata.snapshots.values()) {
    if (row.kind !== "view" && !exists(dirs.treeOf(row.id))) {
      logger.error({ key: row.key }, "a snapshot's folder is gone");
    } else if (row.unsyncedBoot !== "" && row.unsyncedBoot !== bootId) {
      logger.warn({ key: row.key }, "a layer was not synced before the machine went down");
    } else continue;
    lost.set(row.key, row);
  }
  const isLost = ({ parent }: SnapshotRecord): boolean =>
    parent !== "" && (lost.has(parent) || !metadata.snapshots.has(parent));
  for (let before = -1; before !== lost.size; ) {
    before = lost.size;
    for (const row of metadata.snapshots.values()) {
      if (row.kind === "layer" && isLost(row)) lost.set(row.key, row);
    }
  }
  return [...lost.values()];
}

function blobFiles(blobsDir: string): Map<Digest, string> {
  const found = new Map<Digest, string>();
  for (const algorithm of readdirSync(blobsDir)) {
    for (const hex of readdirSync(path.join(blobsDir, algorithm))) {
      found.set(`${algorithm}:${hex}` as Digest, path.join(blobsDir, algorithm, hex));
    }
  }
  return found;
}

function trashUnowned(
  { metadata, content, logger }: ReconcileParts,
  files: ReadonlyMap<Digest, string>,
): void {
  for (const [digest, file] of files) {
    if (metadata.blobs.has(digest)) continue;
    logger.warn({ digest }, "moving a blob without a row to the trash");
    content.disown(file);
  }
}

function isWhole(row: BlobRecord, files: ReadonlyMap<Digest, string>): boolean {
  const file = files.get(row.digest);
  return file !== undefined && statSync(file).size === row.sizeBytes;
}

function exists(folder: string): boolean {
  try {
    return statSync(folder).isDirectory();
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return false;
    throw error;
  }
}
