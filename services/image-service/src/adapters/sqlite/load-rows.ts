/** Reads all rows at start-up. */
import type { DatabaseSync } from "node:sqlite";
import type { Digest } from "@gantry/oci";
import type {
  BlobRecord,
  ImageRecord,
  LeaseRecord,
  LeaseResource,
  LeaseResourceType,
  NameRecord,
  SnapshotKind,
  SnapshotRecord,
} from "../../domain/records.ts";

type Row = Readonly<Record<string, unknown>>;

/** All rows of a query; integers as bigint, since nanoseconds do not fit into a number. */
function* rows(db: DatabaseSync, sql: string): Generator<Row> {
  const statement = db.prepare(sql);
  statement.setReadBigInts(true);
  for (const row of statement.iterate()) yield row;
}

const text = (row: Row, key: string): string => row[key] as string;
const big = (row: Row, key: string): bigint => row[key] as bigint;
const number = (row: Row, key: string): number => Number(row[key]);

const wholeImages = `
  SELECT images.*, ifnull(parent, '') AS parent, ifnull(annotations, '') AS annotations FROM images
    LEFT JOIN image_parents USING (digest) LEFT JOIN image_annotations USING (digest)
`;

export function loadImages(db: DatabaseSync): Map<Digest, ImageRecord> {
  const found = new Map<Digest, ImageRecord>();
  for (const row of rows(db, wholeImages)) {
    const digest = text(row, "digest") as Digest;
    found.set(digest, {
      digest,
      mediaType: text(row, "media_type"),
      sizeBytes: number(row, "size_bytes"),
      addedNano: big(row, "added_nano"),
      parent: text(row, "parent") as Digest | "",
      annotations: annotationsOf(text(row, "annotations")),
    });
  }
  return found;
}

function annotationsOf(json: string): ImageRecord["annotations"] {
  return json === "" ? undefined : (JSON.parse(json) as Readonly<Record<string, string>>);
}

export function loadNames(db: DatabaseSync): Map<string, NameRecord> {
  const found = new Map<string, NameRecord>();
  for (const row of rows(db, "SELECT * FROM names")) {
    const name = text(row, "name");
    found.set(name, {
      name,
      digest: text(row, "digest") as Digest,
      taggedNano: big(row, "tagged_nano"),
    });
  }
  return found;
}

export function loadBlobs(db: DatabaseSync): Map<Digest, BlobRecord> {
  const found = new Map<Digest, BlobRecord>();
  for (const row of rows(db, "SELECT * FROM blobs")) {
    const digest = text(row, "digest") as Digest;
    found.set(digest, { digest, sizeBytes: number(row, "size_bytes") });
  }
  return found;
}

export function loadSnapshots(db: DatabaseSync): Map<string, SnapshotRecord> {
  const found = new Map<string, SnapshotRecord>();
  for (const row of rows(db, "SELECT * FROM snapshots")) {
    found.set(text(row, "key"), {
      id: number(row, "id"),
      key: text(row, "key"),
      kind: text(row, "kind") as SnapshotKind,
      parent: text(row, "parent"),
      sizeBytes: number(row, "size_bytes"),
      inodes: number(row, "inodes"),
      createdNano: big(row, "created_nano"),
      leaseOwner: text(row, "lease_owner"),
      unsyncedBoot: text(row, "unsynced_boot"),
    });
  }
  return found;
}

export function loadLeases(db: DatabaseSync): Map<string, LeaseRecord> {
  const resources = new Map<string, LeaseResource[]>();
  for (const row of rows(db, "SELECT * FROM lease_resources")) {
    const owner = text(row, "owner");
    const held = resources.get(owner) ?? [];
    held.push({ type: text(row, "type") as LeaseResourceType, id: text(row, "id") });
    resources.set(owner, held);
  }
  const found = new Map<string, LeaseRecord>();
  for (const row of rows(db, "SELECT * FROM leases")) {
    const owner = text(row, "owner");
    found.set(owner, {
      owner,
      expiresNano: big(row, "expires_nano"),
      resources: resources.get(owner) ?? [],
    });
  }
  return found;
}
