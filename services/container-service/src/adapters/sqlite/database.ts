/**
 * The service's database: `<data>/container-service/state.db`.
 *
 *   meta        key, value            schema version, store ID (must match the file store-id beside it)
 *   containers  id, name, config, host_config, facts, progress      one row per container
 *   execs       id, container_id, record                            of running containers
 *   documents   collection, key, value                              networks, endpoints, volumes, …
 *   events, events_meta                                             the event log (@gantry/events)
 *
 * Commits go to the write-ahead log and cost some 60 µs; the disk is waited for by `synced` only,
 * with fdatasync(2) of that log on the thread pool, one flush for all who wait.
 */
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, fdatasync, mkdirSync, openSync, readFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { EngineError, internal, resourceExhausted } from "@gantry/errors";
import { type EventLog, openEventLog } from "@gantry/events";
import { writeFileAtomic } from "@gantry/fs";

const schemaVersion = "1";

const schema = `
  CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS containers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    config BLOB NOT NULL,
    host_config BLOB NOT NULL,
    facts TEXT NOT NULL,
    progress TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS execs (
    id TEXT PRIMARY KEY, container_id TEXT NOT NULL, record TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS documents (
    collection TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (collection, key)
  ) STRICT, WITHOUT ROWID;
`;

/** The open database. */
export interface Database {
  readonly db: DatabaseSync;
  readonly log: EventLog;
  /** Random, made with the database: the engine's ID as long as its data lives. */
  readonly storeId: string;
  /** Runs a change in one transaction. Errors: internal, resource_exhausted when the disk is full. */
  transaction<T>(change: () => T): T;
  /** Resolves when everything committed before is on stable storage. Errors: internal. */
  synced(): Promise<void>;
  close(): void;
}

/**
 * Opens or makes the database in a folder (0700). Throws internal when the folder belongs to another
 * database: data and records that do not fit together would be taken for each other's.
 */
export async function openDatabase(dataDir: string): Promise<Database> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const file = path.join(dataDir, "state.db");
  const db = new DatabaseSync(file);
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000");
  db.exec(schema);
  const storeId = await checkStoreId(db, path.join(dataDir, "store-id"));
  const log = openEventLog({ db, service: "container-service" });
  const flush = openFlush(`${file}-wal`);
  return {
    db,
    log,
    storeId,
    transaction: (change) => {
      try {
        return log.transaction(change);
      } catch (error) {
        throw asStoreError(error);
      }
    },
    synced: flush.synced,
    close() {
      flush.close();
      db.close();
    },
  };
}

async function checkStoreId(db: DatabaseSync, file: string): Promise<string> {
  const get = db.prepare("SELECT value FROM meta WHERE key = ?");
  const put = db.prepare("INSERT INTO meta (key, value) VALUES (?, ?)");
  const version = get.get("schema_version")?.["value"];
  if (version === undefined) put.run("schema_version", schemaVersion);
  else if (version !== schemaVersion) {
    throw internal(`state.db has schema ${String(version)}, this engine knows ${schemaVersion}`);
  }
  const known = get.get("store_id")?.["value"];
  const beside = existsSync(file) ? readFileSync(file, "utf8").trim() : undefined;
  if (typeof known === "string" && beside !== undefined && known !== beside) {
    throw internal(`${file} says ${beside}, but state.db belongs to ${known}`);
  }
  if (known === undefined && beside !== undefined) {
    throw internal(`${file} is there, but the state.db that it belongs to is not`);
  }
  const id = typeof known === "string" ? known : randomBytes(16).toString("hex");
  if (known === undefined) put.run("store_id", id);
  if (beside === undefined) await writeFileAtomic(file, `${id}\n`);
  return id;
}

/** SQLite's result codes that mean a full disk (13) or a limit of it. */
const sqliteFull = 13;

function asStoreError(error: unknown): unknown {
  if (error instanceof EngineError || !(error instanceof Error)) return error;
  if (!("errcode" in error)) return error;
  const full = error.errcode === sqliteFull;
  const message = `write container state: ${error.message}`;
  return full
    ? resourceExhausted("no space left on device", { cause: error })
    : internal(message, { cause: error });
}

interface Flush {
  synced(): Promise<void>;
  close(): void;
}

function openFlush(walFile: string): Flush {
  const fd = openSync(walFile, "r");
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const sync = (): Promise<void> =>
    new Promise((resolve, reject) => {
      fdatasync(fd, (error) => {
        if (error === null) resolve();
        else reject(internal("flush container state", { cause: error }));
      });
    });
  // A flush that has begun may have missed what was written since, so those who come later share the next.
  const begin = (): Promise<void> => {
    running = sync().finally(() => {
      running = undefined;
    });
    return running;
  };
  return {
    synced() {
      if (running === undefined) return begin();
      next ??= running
        .catch(() => undefined)
        .then(() => {
          next = undefined;
          return begin();
        });
      return next;
    },
    close() {
      closeSync(fd);
    },
  };
}
