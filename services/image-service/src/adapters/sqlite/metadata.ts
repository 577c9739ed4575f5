/** The Metadata port over SQLite, with everything but blob sources mirrored in memory. */
import { type FileHandle, open } from "node:fs/promises";
import path from "node:path";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { sqliteError } from "@gantry/errors";
import { type EventLog, type NewEvent, openEventLog } from "@gantry/events";
import { sharedWork } from "@gantry/fs";
import type { Digest } from "@gantry/oci";
import type {
  BlobRecord,
  BlobSource,
  ImageRecord,
  LeaseRecord,
  LeaseResource,
  NameRecord,
  SnapshotRecord,
} from "../../domain/records.ts";
import type { Metadata, MetadataChange } from "../../ports/metadata.ts";
import { loadBlobs, loadImages, loadLeases, loadNames, loadSnapshots } from "./load-rows.ts";
import { openDatabase } from "./schema.ts";

const noChildren: ReadonlySet<Digest> = new Set();

/** The store and the event log beside it. */
export interface SqliteMetadata extends Metadata, AsyncDisposable {
  readonly events: EventLog;
}

/** Opens the metadata of a data folder. Throws data_loss for a database of another folder. */
export async function openMetadata(dataDir: string, service: string): Promise<SqliteMetadata> {
  const db = openDatabase(dataDir);
  const events = openEventLog({ db, service });
  // Written after the first transaction, so it is there now.
  const wal = await open(path.join(dataDir, "metadata.db-wal"), "r+");
  return new MirroredMetadata(db, events, wal);
}

class MirroredMetadata implements SqliteMetadata {
  readonly images: Map<Digest, ImageRecord>;
  readonly names: Map<string, NameRecord>;
  readonly blobs: Map<Digest, BlobRecord>;
  readonly snapshots: Map<string, SnapshotRecord>;
  readonly leases: Map<string, LeaseRecord>;
  readonly events: EventLog;
  readonly #db: DatabaseSync;
  readonly #wal: FileHandle;
  readonly #statements = new Map<string, StatementSync>();
  readonly #children = new Map<Digest, Set<Digest>>();
  readonly #byImage = new Map<Digest, Map<string, NameRecord>>();
  /** Sorted names, as far as they were asked for since they changed. */
  readonly #sorted = new Map<Digest, readonly NameRecord[]>();
  #contentRevision = 0;
  readonly flush: () => Promise<void>;

  constructor(db: DatabaseSync, events: EventLog, wal: FileHandle) {
    this.#db = db;
    this.#wal = wal;
    this.flush = sharedWork(() => wal.datasync());
    this.events = events;
    this.images = loadImages(db);
    this.names = loadNames(db);
    this.blobs = loadBlobs(db);
    this.snapshots = loadSnapshots(db);
    this.leases = loadLeases(db);
    for (const name of this.names.values()) this.#link(name);
    for (const { digest, parent } of this.images.values()) {
      if (parent !== "") this.#linkChild(digest, parent);
    }
  }

  namesOf(image: Digest): readonly NameRecord[] {
    const known = this.#sorted.get(image);
    if (known !== undefined) return known;
    const names = this.#byImage.get(image);
    if (names === undefined) return [];
    const sorted = [...names.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
    this.#sorted.set(image, sorted);
    return sorted;
  }

  childrenOf(image: Digest): ReadonlySet<Digest> {
    return this.#children.get(image) ?? noChildren;
  }

  get contentRevision(): number {
    return this.#contentRevision;
  }

  sourcesOf(digest: Digest, host: string): readonly string[] {
    const sql = "SELECT repository FROM blob_sources WHERE digest = ? AND host = ?";
    return this.#prepared(sql)
      .all(digest, host)
      .map((row) => row["repository"] as string);
  }

  change<T>(work: (change: MetadataChange) => T): T {
    const mirrored: (() => void)[] = [];
    const result = this.#transaction(() => work(this.#writer(mirrored)));
    for (const apply of mirrored) apply();
    return result;
  }

  #transaction<T>(work: () => T): T {
    try {
      return this.events.transaction(work);
    } catch (error) {
      throw sqliteError(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Whoever needs it on the disk has waited for a flush of its own, and was told. Closing goes on.
    await this.flush().catch(() => undefined);
    await this.#wal.close();
    this.#db.close();
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #linkChild(digest: Digest, parent: Digest): void {
    this.#children.set(parent, (this.#children.get(parent) ?? new Set<Digest>()).add(digest));
  }

  #unlinkChild(digest: Digest): void {
    const parent = this.images.get(digest)?.parent ?? "";
    if (parent === "") return;
    const children = this.#children.get(parent);
    children?.delete(digest);
    if (children?.size === 0) this.#children.delete(parent);
  }

  #link(record: NameRecord): void {
    const names = this.#byImage.get(record.digest) ?? new Map<string, NameRecord>();
    names.set(record.name, record);
    this.#byImage.set(record.digest, names);
    this.#sorted.delete(record.digest);
  }

  #unlink(name: string): void {
    const old = this.names.get(name);
    if (old === undefined) return;
    this.#sorted.delete(old.digest);
    const names = this.#byImage.get(old.digest);
    names?.delete(name);
    if (names?.size === 0) this.#byImage.delete(old.digest);
  }

  /** Writes rows now, and the mirror when they are committed. */
  #writer(mirrored: (() => void)[]): MetadataChange {
    const run = (sql: string, ...values: (string | number | bigint)[]): void => {
      this.#prepared(sql).run(...values);
    };
    return {
      putImage: (record) => {
        const { digest, mediaType, sizeBytes, addedNano, parent, annotations } = record;
        run(
          "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?)",
          digest,
          mediaType,
          sizeBytes,
          addedNano,
        );
        if (parent !== "")
          run("INSERT OR REPLACE INTO image_parents VALUES (?, ?)", digest, parent);
        const json = annotations && JSON.stringify(annotations);
        if (json === undefined) run("DELETE FROM image_annotations WHERE digest = ?", digest);
        else run("INSERT OR REPLACE INTO image_annotations VALUES (?, ?)", digest, json);
        mirrored.push(() => {
          this.#unlinkChild(digest);
          this.images.set(digest, record);
          if (parent !== "") this.#linkChild(digest, parent);
        });
      },
      deleteImage: (digest) => {
        run("DELETE FROM images WHERE digest = ?", digest);
        run("DELETE FROM image_parents WHERE digest = ?", digest);
        run("DELETE FROM image_annotations WHERE digest = ?", digest);
        mirrored.push(() => {
          this.#unlinkChild(digest);
          this.images.delete(digest);
        });
      },
      putName: (record) => {
        run(
          "INSERT OR REPLACE INTO names VALUES (?, ?, ?)",
          record.name,
          record.digest,
          record.taggedNano,
        );
        mirrored.push(() => {
          this.#unlink(record.name);
          this.names.set(record.name, record);
          this.#link(record);
        });
      },
      deleteName: (name) => {
        run("DELETE FROM names WHERE name = ?", name);
        mirrored.push(() => {
          this.#unlink(name);
          this.names.delete(name);
        });
      },
      putBlob: (record) => {
        run("INSERT OR REPLACE INTO blobs VALUES (?, ?)", record.digest, record.sizeBytes);
        mirrored.push(() => {
          this.blobs.set(record.digest, record);
          this.#contentRevision += 1;
        });
      },
      deleteBlob: (digest) => {
        run("DELETE FROM blobs WHERE digest = ?", digest);
        run("DELETE FROM blob_sources WHERE digest = ?", digest);
        mirrored.push(() => {
          this.blobs.delete(digest);
          this.#contentRevision += 1;
        });
      },
      putSource: ({ digest, host, repository }: BlobSource) => {
        run("INSERT OR IGNORE INTO blob_sources VALUES (?, ?, ?)", digest, host, repository);
      },
      event: (event: NewEvent) => {
        this.events.append(event);
      },
      ...this.#snapshotWriter(run, mirrored),
      ...this.#leaseWriter(run, mirrored),
    };
  }

  #snapshotWriter(
    run: (sql: string, ...values: (string | number | bigint)[]) => void,
    mirrored: (() => void)[],
  ): Pick<MetadataChange, "putSnapshot" | "deleteSnapshot"> {
    return {
      putSnapshot: (record) => {
        const { id, key, kind, parent, sizeBytes, inodes, createdNano, leaseOwner } = record;
        const sql = "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        const row = [id, key, kind, parent, sizeBytes, inodes, createdNano, leaseOwner];
        run(sql, ...row, record.unsyncedBoot);
        mirrored.push(() => {
          this.snapshots.set(key, record);
          if (kind === "layer") this.#contentRevision += 1;
        });
      },
      deleteSnapshot: (key) => {
        run("DELETE FROM snapshots WHERE key = ?", key);
        mirrored.push(() => {
          if (this.snapshots.get(key)?.kind === "layer") this.#contentRevision += 1;
          this.snapshots.delete(key);
        });
      },
    };
  }

  #leaseWriter(
    run: (sql: string, ...values: (string | number | bigint)[]) => void,
    mirrored: (() => void)[],
  ): Pick<MetadataChange, "putLease" | "deleteLease"> {
    return {
      putLease: (owner, expiresNano, resources) => {
        run("INSERT OR REPLACE INTO leases VALUES (?, ?)", owner, expiresNano);
        for (const { type, id } of resources) {
          run("INSERT OR IGNORE INTO lease_resources VALUES (?, ?, ?)", owner, type, id);
        }
        mirrored.push(() => {
          const held = this.leases.get(owner)?.resources ?? [];
          this.leases.set(owner, { owner, expiresNano, resources: union(held, resources) });
        });
      },
      deleteLease: (owner) => {
        run("DELETE FROM leases WHERE owner = ?", owner);
        run("DELETE FROM lease_resources WHERE owner = ?", owner);
        mirrored.push(() => this.leases.delete(owner));
      },
    };
  }
}

function union(
  held: readonly LeaseResource[],
  more: readonly LeaseResource[],
): readonly LeaseResource[] {
  const known = new Set(held.map(({ type, id }) => `${type} ${id}`));
  return [...held, ...more.filter(({ type, id }) => !known.has(`${type} ${id}`))];
}
