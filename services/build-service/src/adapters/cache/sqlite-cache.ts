/**
 * BuildCache in `<data>/build-service/cache.db`:
 *
 *   entries     id, snapshot, key, type, description, size_bytes, created_nano, last_used_nano, usage_count
 *   keys        key, id
 *   layers      chain_id, diff_id, digest, media_type, size_bytes
 *   steps       id                                     steps without files
 *   step_times  id, time_ms                            when they were done
 *   file_sums   identity, sum                          newest ten thousands
 *
 * Commits go to the write-ahead log: they survive a kill, and what a power cut takes is built again.
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sqliteError } from "@gantry/errors";
import { nowNano } from "@gantry/events";
import type { BuildCache, CacheEntry } from "../../ports/build-cache.ts";

const tables = `
  CREATE TABLE IF NOT EXISTS entries (
    id TEXT PRIMARY KEY, snapshot TEXT NOT NULL, key TEXT NOT NULL, type TEXT NOT NULL,
    description TEXT NOT NULL, size_bytes INTEGER NOT NULL, created_nano INTEGER NOT NULL,
    last_used_nano INTEGER NOT NULL, usage_count INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, id TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS keys_by_id ON keys (id);
  CREATE TABLE IF NOT EXISTS layers (
    chain_id TEXT PRIMARY KEY, diff_id TEXT NOT NULL, digest TEXT NOT NULL, media_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS steps (id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS step_times (id TEXT PRIMARY KEY, time_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS file_sums (number INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, sum TEXT NOT NULL)
    STRICT;
`;

/** Sums of files that are remembered. */
const maxFileSums = 200_000;

export function openSqliteCache(dataDir: string): BuildCache {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const db = new DatabaseSync(path.join(dataDir, "cache.db"), { readBigInts: false });
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000");
  db.exec(tables);
  return new SqliteCache(db);
}

class SqliteCache implements BuildCache {
  readonly #db: DatabaseSync;
  readonly #statements: ReturnType<typeof prepare>;
  readonly fileSums: BuildCache["fileSums"];
  /** How often records were found since that was last written. */
  readonly #found = new Map<string, number>();

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#statements = prepare(db);
    const { getSum, putSum } = this.#statements;
    let pending: [string, string][] = [];
    const flush = (): void => {
      const batch = pending;
      pending = [];
      this.#transaction(() => {
        for (const [identity, sum] of batch) putSum.run(identity, sum);
      });
    };
    const fresh = new Map<string, string>();
    this.fileSums = {
      get: (identity) => {
        const sum = fresh.get(identity) ?? getSum.get(identity)?.["sum"];
        return typeof sum === "string" ? sum : undefined;
      },
      set: (identity, sum) => {
        if (pending.length === 0) {
          setImmediate(() => {
            flush();
            fresh.clear();
          });
        }
        pending.push([identity, sum]);
        fresh.set(identity, sum);
      },
    };
    db.exec(
      `DELETE FROM file_sums WHERE number <= (SELECT max(number) FROM file_sums) - ${String(maxFileSums)}`,
    );
  }

  find(key: string): CacheEntry | undefined {
    const row = this.#statements.find.get(key);
    if (row === undefined) return undefined;
    const entry = entryOf(row);
    this.#note(entry.id, 0);
    return entry;
  }

  use(id: string): void {
    this.#note(id, 1);
  }

  /** Written together, behind the look-ups: a build from the cache finds each of its steps several times. */
  #note(id: string, uses: number): void {
    if (this.#found.size === 0) setImmediate(() => this.#touch());
    this.#found.set(id, (this.#found.get(id) ?? 0) + uses);
  }

  #touch(): void {
    if (this.#found.size === 0) return;
    const found = [...this.#found];
    this.#found.clear();
    const now = nowNano();
    this.#transaction(() => {
      for (const [id, count] of found) this.#statements.touch.run(now, count, id);
    });
  }

  keysOf(id: string): string[] {
    return this.#statements.keysOf.all(id).map((row) => String(row["key"]));
  }

  put(entry: Omit<CacheEntry, "usageCount" | "lastUsedNano">, keys: readonly string[]): void {
    const { id, snapshot, key, type, description, sizeBytes, createdNano } = entry;
    this.#transaction(() => {
      this.#statements.put.run(
        id,
        snapshot,
        key,
        type,
        description,
        sizeBytes,
        createdNano,
        createdNano,
      );
      for (const each of keys) this.#statements.putKey.run(each, id);
    });
  }

  addKey(key: string, id: string): void {
    this.#write(() => this.#statements.putKey.run(key, id));
  }

  remove(id: string): void {
    this.#transaction(() => {
      this.#statements.removeKeys.run(id);
      this.#statements.remove.run(id);
    });
  }

  list(): CacheEntry[] {
    this.#touch();
    return this.#statements.list.all().map(entryOf);
  }

  renameLayer(from: string, to: string): void {
    this.#write(() => this.#statements.rename.run(to, from));
  }

  resize(id: string, sizeBytes: number): void {
    this.#write(() => this.#statements.resize.run(sizeBytes, id));
  }

  layer(chainId: string): ReturnType<BuildCache["layer"]> {
    const row = this.#statements.layer.get(chainId);
    if (row === undefined) return undefined;
    return {
      diffId: String(row["diff_id"]),
      digest: String(row["digest"]),
      mediaType: String(row["media_type"]),
      sizeBytes: Number(row["size_bytes"]),
    };
  }

  blobsLike(snapshot: string): string[] {
    return this.#statements.blobsLike.all(snapshot).map((row) => String(row["digest"]));
  }

  putLayer(chainId: string, layer: Parameters<BuildCache["putLayer"]>[1]): void {
    const { diffId, digest, mediaType, sizeBytes } = layer;
    this.#write(() => this.#statements.putLayer.run(chainId, diffId, digest, mediaType, sizeBytes));
  }

  sawStep(id: string): boolean {
    return this.#write(() => this.#statements.step.run(id)).changes === 0;
  }

  stepTimeMs(id: string, anew: boolean): number {
    const { putStepTime, getStepTime } = this.#statements;
    const known = anew ? undefined : getStepTime.get(id)?.["time_ms"];
    if (typeof known === "number") return known;
    const timeMs = Date.now();
    this.#write(() => putStepTime.run(id, timeMs));
    return timeMs;
  }

  [Symbol.dispose](): void {
    this.#touch();
    this.#db.close();
  }

  #transaction(change: () => void): void {
    this.#write(() => {
      this.#db.exec("BEGIN IMMEDIATE");
      try {
        change();
        this.#db.exec("COMMIT");
      } catch (error) {
        // A full disk ends the transaction by itself.
        if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
        throw error;
      }
    });
  }

  /** Says of a full disk what everything else says of it. */
  #write<T>(change: () => T): T {
    try {
      return change();
    } catch (error) {
      throw sqliteError(error);
    }
  }
}

function prepare(db: DatabaseSync) {
  const entryColumns =
    "e.id, snapshot, e.key, type, description, size_bytes, CAST(created_nano AS TEXT) AS created, " +
    "CAST(last_used_nano AS TEXT) AS used, usage_count";
  return {
    find: db.prepare(
      `SELECT ${entryColumns} FROM keys k JOIN entries e ON e.id = k.id WHERE k.key = ?`,
    ),
    touch: db.prepare(
      "UPDATE entries SET last_used_nano = ?, usage_count = usage_count + ? WHERE id = ?",
    ),
    put: db.prepare("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)"),
    putKey: db.prepare("INSERT OR REPLACE INTO keys VALUES (?, ?)"),
    keysOf: db.prepare("SELECT key FROM keys WHERE id = ? ORDER BY key"),
    removeKeys: db.prepare("DELETE FROM keys WHERE id = ?"),
    remove: db.prepare("DELETE FROM entries WHERE id = ?"),
    list: db.prepare(`SELECT ${entryColumns} FROM entries e ORDER BY created_nano`),
    rename: db.prepare("UPDATE entries SET snapshot = ? WHERE snapshot = ?"),
    resize: db.prepare("UPDATE entries SET size_bytes = ? WHERE id = ?"),
    layer: db.prepare("SELECT * FROM layers WHERE chain_id = ?"),
    blobsLike: db.prepare(
      `SELECT l.digest FROM entries e JOIN layers l ON l.chain_id = e.snapshot
       WHERE e.description IN (SELECT description FROM entries WHERE snapshot = ?)
       ORDER BY e.created_nano DESC LIMIT 4`,
    ),
    putLayer: db.prepare("INSERT OR REPLACE INTO layers VALUES (?, ?, ?, ?, ?)"),
    step: db.prepare("INSERT OR IGNORE INTO steps VALUES (?)"),
    getStepTime: db.prepare("SELECT time_ms FROM step_times WHERE id = ?"),
    putStepTime: db.prepare("INSERT OR REPLACE INTO step_times VALUES (?, ?)"),
    getSum: db.prepare("SELECT sum FROM file_sums WHERE identity = ?"),
    putSum: db.prepare("INSERT OR REPLACE INTO file_sums (identity, sum) VALUES (?, ?)"),
  };
}

function entryOf(row: Record<string, unknown>): CacheEntry {
  return {
    id: String(row["id"]),
    snapshot: String(row["snapshot"]),
    key: String(row["key"]),
    type: row["type"] === "exec.cachemount" ? "exec.cachemount" : "regular",
    description: String(row["description"]),
    sizeBytes: Number(row["size_bytes"]),
    createdNano: BigInt(String(row["created"])),
    lastUsedNano: BigInt(String(row["used"])),
    usageCount: Number(row["usage_count"]),
  };
}
