/**
 * The service's database: `<data>/container-service/state.db`.
 *
 *   meta        key, value            schema version, store ID (must match the file store-id beside it)
 *   containers  id, name, config, host_config, facts, progress      one row per container
 *   execs       id, container_id, record                            of running containers
 *   health      container_id, health                                what probes said, of those that have a check
 *   documents   collection, key, value                              networks, endpoints, volumes, …
 *   events, events_meta                                             the event log (@gantry/events)
 *
 * It is read once, at boot. From then on only the writer's thread has it open, so that a disk that does
 * not answer holds up neither lists nor inspects. Commits go to the write-ahead log and cost some 60 µs;
 * the disk is waited for by `synced` only, with fdatasync(2) of that log on the thread pool, one flush
 * for all who wait.
 */
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, fdatasync, mkdirSync, openSync, readFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { internal, toEngineError } from "@gantry/errors";
import { EventFeed, type EventPages, type EventSource, type LoggedEvent } from "@gantry/events";
import { openEventTable } from "@gantry/events/event-table";
import { sharedWork, writeFileAtomic } from "@gantry/fs";
import type { Logger } from "@gantry/logging";
import { openStateWriter, type StateWriter } from "./state-writer.ts";

const schemaVersion = "1";
const service = "container-service";

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
  CREATE TABLE IF NOT EXISTS health (
    container_id TEXT PRIMARY KEY, health TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS documents (
    collection TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (collection, key)
  ) STRICT, WITHOUT ROWID;
`;

/** A row as SQLite gives it. */
export type Row = Readonly<Record<string, unknown>>;

/** The tables at boot. */
export interface StoredRows {
  readonly containers: readonly Row[];
  readonly execs: readonly Row[];
  readonly health: readonly Row[];
  readonly documents: readonly Row[];
}

/** The open database. */
export interface Database {
  readonly file: string;
  readonly writer: StateWriter;
  readonly log: EventSource;
  /** Random, made with the database: the engine's ID as long as its data lives. */
  readonly storeId: string;
  /** What was found at the opening; each table can be taken once, so that nobody holds it for good. */
  take(table: keyof StoredRows): readonly Row[];
  /** Resolves when everything written before is on stable storage. Errors: internal. */
  synced(): Promise<void>;
  /** As synced, within a second and without anybody waiting; a failure is logged. */
  syncSoon(): void;
  /** Writes what was asked for, waits for the disk, and closes. Errors: internal; it is closed all the same. */
  close(): Promise<void>;
}

/**
 * Opens or makes the database in a folder (0700). Throws internal when the folder belongs to another
 * database: data and records that do not fit together would be taken for each other's.
 */
export async function openDatabase(dataDir: string, logger: Logger): Promise<Database> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const file = path.join(dataDir, "state.db");
  // Closed when the writer has it open: the last connection to close would remove the log.
  const db = new DatabaseSync(file);
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000");
  db.exec(schema);
  const storeId = await checkStoreId(db, path.join(dataDir, "store-id"));
  const table = openEventTable({ db, service });
  const pages = { storeId: table.storeId, published: table.published() };
  const lastSeq = table.lastSeq();
  const rows = new Map<keyof StoredRows, readonly Row[]>(
    (["containers", "execs", "health", "documents"] as const).map((name) => [
      name,
      db.prepare(`SELECT * FROM ${name}`).all(),
    ]),
  );
  const flush = openFlush(`${file}-wal`);
  const writer = await openStateWriter({
    file,
    service,
    logger,
    onEvents: (events) => {
      feed.show(events);
    },
  });
  db.close();
  let soon: NodeJS.Timeout | undefined;
  const synced = async (): Promise<void> => {
    // Whatever asked for a flush soon has this one.
    clearTimeout(soon);
    soon = undefined;
    await writer.settled();
    await flush.synced();
  };
  const feed = new EventFeed({ pages: writerPages(writer, pages), lastSeq });
  return {
    file,
    writer,
    log: feed,
    storeId,
    take(name) {
      const found = rows.get(name);
      if (found === undefined) throw internal(`the table ${name} was taken before`);
      rows.delete(name);
      return found;
    },
    synced,
    syncSoon() {
      soon ??= setTimeout(() => {
        synced().catch((error: unknown) => {
          logger.error({ err: error }, "state may not be on stable storage");
        });
      }, syncSoonMs).unref();
    },
    async close() {
      clearTimeout(soon);
      const ends = await Promise.allSettled([writer.close()]);
      // Nobody else tells whether the log that SQLite could not merge into the database is kept.
      ends.push(...(await Promise.allSettled([flush.synced()])));
      flush.close();
      const problems = ends
        .filter((end) => end.status === "rejected")
        .map(({ reason }) => toEngineError(reason));
      const [problem] = problems;
      if (problem === undefined) return;
      if (problems.length === 1) throw problem;
      throw internal(problems.map(({ message }) => message).join("; "), { cause: problem });
    },
  };
}

/** Longer than most short runs, whose removal flushes anyway. */
const syncSoonMs = 1000;

/** The event log's pages, which only the writer's thread can read. */
function writerPages(
  writer: StateWriter,
  known: { readonly storeId: string; readonly published: number },
): EventPages {
  let { published } = known;
  return {
    service,
    storeId: known.storeId,
    read: async (after, upTo, limit) =>
      (await writer.ask({ ask: "read", after, upTo, limit })) as LoggedEvent[],
    firstSeq: async () => Number(await writer.ask({ ask: "firstSeq" })),
    seqBefore: async (timeNano) => Number(await writer.ask({ ask: "seqBefore", timeNano })),
    published: () => published,
    setPublished(seq) {
      published = seq;
      writer.setPublished(seq);
    },
    settled: () => writer.settled(),
    newest: async () => Number(await writer.ask({ ask: "lastSeq" })),
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
  if (known === undefined) {
    put.run("store_id", id);
    // On stable storage before the file is: a file without its row would be refused after a loss of power.
    db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  }
  if (beside === undefined) await writeFileAtomic(file, `${id}\n`);
  return id;
}

interface Flush {
  synced(): Promise<void>;
  close(): void;
}

function openFlush(walFile: string): Flush {
  const fd = openSync(walFile, "r");
  const sync = (): Promise<void> =>
    new Promise((resolve, reject) => {
      fdatasync(fd, (error) => {
        if (error === null) resolve();
        else reject(internal("flush container state", { cause: error }));
      });
    });
  return {
    synced: sharedWork(sync),
    close() {
      closeSync(fd);
    },
  };
}
