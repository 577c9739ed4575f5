/** Start-up: rows and files are made to agree. What no row owns goes to the trash; rows without files go. */

import { randomUUID } from "node:crypto";
import { readdirSync, renameSync, statSync, utimesSync } from "node:fs";
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
  readonly dirs: SnapshotDirs & { readonly trashDir: string };
  readonly logger: Logger;
}

export function reconcile(parts: ReconcileParts): void {
  const files = blobFiles(parts.content.blobsDir);
  trashUnowned(parts, files);
  const lostBlobs = [...parts.metadata.blobs.values()].filter((row) => !isWhole(row, files));
  const lostTrees = [...parts.metadata.snapshots.values()].filter(
    (row) => row.kind !== "view" && !exists(parts.dirs.treeOf(row.id)),
  );
  if (lostBlobs.length + lostTrees.length === 0) return;
  log(parts.logger, lostBlobs, lostTrees);
  parts.metadata.change((change) => {
    for (const { digest } of lostBlobs) change.deleteBlob(digest);
    for (const { key } of lostTrees) change.deleteSnapshot(key);
  });
}

function log(logger: Logger, blobs: readonly BlobRecord[], trees: readonly SnapshotRecord[]): void {
  for (const { digest } of blobs) logger.error({ digest }, "a blob's file is gone or cut short");
  for (const { key } of trees) logger.error({ key }, "a snapshot's folder is gone");
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

function trashUnowned(parts: ReconcileParts, files: ReadonlyMap<Digest, string>): void {
  const now = new Date();
  for (const [digest, file] of files) {
    if (parts.metadata.blobs.has(digest)) continue;
    parts.logger.warn({ digest }, "moving a blob without a row to the trash");
    const target = path.join(parts.dirs.trashDir, `${path.basename(file)}-${randomUUID()}`);
    renameSync(file, target);
    utimesSync(target, now, now);
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
