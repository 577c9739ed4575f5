/**
 * The database, `metadata.db`:
 *
 *   meta            key PRIMARY KEY, value          schema, store_id
 *   images          digest PRIMARY KEY, media_type, size_bytes, added_nano
 *   image_parents   digest PRIMARY KEY, parent      of the images whose parent is known
 *   image_annotations  digest PRIMARY KEY, annotations   JSON, of the images whose descriptor has some
 *   names           name PRIMARY KEY, digest, tagged_nano
 *   blobs           digest PRIMARY KEY, size_bytes
 *   blob_sources    (digest, host, repository) PRIMARY KEY
 *   snapshots       id PRIMARY KEY, key UNIQUE, kind, parent, size_bytes, inodes, created_nano, lease_owner,
 *                   unsynced_boot
 *   leases          owner PRIMARY KEY, expires_nano
 *   lease_resources (owner, type, id) PRIMARY KEY
 *   events, events_meta   of @gantry/events
 *
 * Another schema number needs a migration: 1 had no unsynced_boot.
 */
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { dataLoss, hasErrno } from "@gantry/errors";

const schemaVersion = "2";

const tables = `
  CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS images (
    digest TEXT PRIMARY KEY, media_type TEXT NOT NULL, size_bytes INTEGER NOT NULL, added_nano INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS image_parents (digest TEXT PRIMARY KEY, parent TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS image_annotations (
    digest TEXT PRIMARY KEY, annotations TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS names (
    name TEXT PRIMARY KEY, digest TEXT NOT NULL, tagged_nano INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS blobs (digest TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS blob_sources (
    digest TEXT NOT NULL, host TEXT NOT NULL, repository TEXT NOT NULL, PRIMARY KEY (digest, host, repository)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS snapshots (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, parent TEXT NOT NULL,
    size_bytes INTEGER NOT NULL, inodes INTEGER NOT NULL, created_nano INTEGER NOT NULL, lease_owner TEXT NOT NULL,
    unsynced_boot TEXT NOT NULL DEFAULT ''
  );
  CREATE TABLE IF NOT EXISTS leases (owner TEXT PRIMARY KEY, expires_nano INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS lease_resources (
    owner TEXT NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (owner, type, id)
  ) WITHOUT ROWID;
`;

/** Opens the database of a data folder, which must belong to it. Throws data_loss when it does not. */
export function openDatabase(dataDir: string): DatabaseSync {
  const db = new DatabaseSync(path.join(dataDir, "metadata.db"));
  try {
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000;");
    db.exec(tables);
    checkStoreId(db, path.join(dataDir, "store-id"));
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * The file `store-id` and the row of that name tie files and rows together: rows over another
 * folder's files would have all of these taken for rubbish.
 */
function checkStoreId(db: DatabaseSync, file: string): void {
  const inDatabase = readMeta(db, "store_id");
  const onDisk = readStoreId(file);
  migrate(db);
  const schema = readMeta(db, "schema");
  if (schema !== undefined && schema !== schemaVersion) {
    throw dataLoss(`metadata.db has schema ${schema}, and this program knows ${schemaVersion}`);
  }
  if (inDatabase === undefined && onDisk === undefined) {
    const id = randomBytes(16).toString("hex");
    writeFileSync(file, `${id}\n`, { mode: 0o600, flush: true });
    const put = db.prepare("INSERT INTO meta (key, value) VALUES (?, ?)");
    put.run("schema", schemaVersion);
    put.run("store_id", id);
    return;
  }
  if (inDatabase === undefined && onDisk !== undefined && isEmpty(db)) {
    // The power went between the file and its row.
    const put = db.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)");
    put.run("schema", schemaVersion);
    put.run("store_id", onDisk);
    return;
  }
  if (inDatabase !== onDisk) {
    throw dataLoss(
      `${file} says ${onDisk ?? "nothing"}, but metadata.db belongs to ${inDatabase ?? "nothing"}`,
    );
  }
}

function migrate(db: DatabaseSync): void {
  if (readMeta(db, "schema") !== "1") return;
  db.exec(`
    BEGIN;
    ALTER TABLE snapshots ADD COLUMN unsynced_boot TEXT NOT NULL DEFAULT '';
    UPDATE meta SET value = '2' WHERE key = 'schema';
    COMMIT;
  `);
}

/** Whether neither rows nor files are there that could belong to another pair. */
function isEmpty(db: DatabaseSync): boolean {
  const row = db.prepare("SELECT count(*) AS n FROM blobs").get();
  return row?.["n"] === 0;
}

function readMeta(db: DatabaseSync, key: string): string | undefined {
  const value = db.prepare("SELECT value FROM meta WHERE key = ?").get(key)?.["value"];
  return typeof value === "string" ? value : undefined;
}

function readStoreId(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
