/**
 * The log on disk: two tables in the database of the service that owns the state.
 *
 *   events        seq INTEGER PRIMARY KEY (1, 2, 3, …; never used twice)
 *                 time_nano, type, action, actor_id, attributes (JSON)
 *   events_meta   key TEXT PRIMARY KEY, value
 *                   store_id   random, made with the tables: another one means another log
 *                   published  highest seq that NATS has acknowledged
 *
 * All functions are synchronous and take part in whatever transaction is open on the connection.
 */
import { randomBytes } from "node:crypto";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { internal } from "@gantry/errors";
import { nowNano } from "./clock.ts";
import type { LoggedEvent, NewEvent } from "./event.ts";
import type { EventPages } from "./event-feed.ts";

/** Options of openEventTable. */
export interface EventTableOptions {
  readonly db: DatabaseSync;
  /** Name of the service, part of every event. */
  readonly service: string;
  /** Events kept; the oldest go first, also unpublished ones. Default 100 000. */
  readonly retain?: number;
}

/** The log's rows. */
export interface EventTable extends EventPages {
  /**
   * Adds an event. Call it in the transaction of the state change that it tells of. Times never run
   * backwards within a log: after a clock step they stand still until the clock has caught up.
   */
  append(event: NewEvent): LoggedEvent;
  read(after: number, upTo: number, limit: number): LoggedEvent[];
  /** Seq of the newest event, 0 when there never was one. */
  lastSeq(): number;
  firstSeq(): number;
  seqBefore(timeNano: bigint): number;
}

/** A row of `events`; the statement reads integers as bigint. */
interface EventRow {
  readonly seq: bigint;
  readonly time_nano: bigint;
  readonly type: string;
  readonly action: string;
  readonly actor_id: string;
  readonly attributes: string;
}

const schema = `
  CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    time_nano INTEGER NOT NULL,
    type TEXT NOT NULL,
    action TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    attributes TEXT NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS events_by_time ON events (time_nano);
  CREATE TABLE IF NOT EXISTS events_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
`;

/** Rows removed at once: trimming at every append would cost more than the rows. */
const trimStep = 256;

/** Opens the log's tables, making them when they are not there. */
export function openEventTable(options: EventTableOptions): EventTable {
  const { db, service } = options;
  const retain = options.retain ?? 100_000;
  db.exec(schema);
  const rows = prepareRows(db);
  const meta = prepareMeta(db);
  const storeId = meta.getOrAdd("store_id", () => randomBytes(8).toString("hex"));
  let newestTime = rows.newestTime();

  const fromRow = (row: EventRow): LoggedEvent => ({
    type: row.type,
    action: row.action,
    actorId: row.actor_id,
    attributes: JSON.parse(row.attributes) as Record<string, string>,
    timeNano: row.time_nano,
    service,
    seq: Number(row.seq),
    msgId: `${service}:${storeId}:${String(row.seq)}`,
  });

  return {
    service,
    storeId,
    append(event) {
      const asked = event.timeNano ?? nowNano();
      newestTime = asked > newestTime ? asked : newestTime;
      const seq = rows.insert({ ...event, timeNano: newestTime });
      if (seq % trimStep === 0) rows.removeUpTo(seq - retain);
      const msgId = `${service}:${storeId}:${String(seq)}`;
      return { ...event, timeNano: newestTime, service, seq, msgId };
    },
    read: (after, upTo, limit) => rows.read(after, upTo, limit).map(fromRow),
    lastSeq: () => rows.lastSeq(),
    firstSeq: () => rows.firstSeq() ?? rows.lastSeq() + 1,
    seqBefore: (timeNano) => (rows.firstAt(timeNano) ?? rows.lastSeq() + 1) - 1,
    published: () => Number(meta.getOrAdd("published", () => "0")),
    setPublished(seq) {
      meta.set("published", String(seq));
    },
  };
}

interface Rows {
  insert(event: Required<NewEvent>): number;
  read(after: number, upTo: number, limit: number): EventRow[];
  removeUpTo(seq: number): void;
  lastSeq(): number;
  firstSeq(): number | undefined;
  firstAt(timeNano: bigint): number | undefined;
  newestTime(): bigint;
}

function prepareRows(db: DatabaseSync): Rows {
  const insert = db.prepare(
    "INSERT INTO events (time_nano, type, action, actor_id, attributes) VALUES (?, ?, ?, ?, ?)",
  );
  const read = db.prepare("SELECT * FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?");
  read.setReadBigInts(true);
  const remove = db.prepare("DELETE FROM events WHERE seq <= ?");
  const last = db.prepare("SELECT seq AS n FROM sqlite_sequence WHERE name = 'events'");
  const first = db.prepare("SELECT min(seq) AS n FROM events");
  const firstAt = db.prepare("SELECT min(seq) AS n FROM events WHERE time_nano >= ?");
  const newest = db.prepare("SELECT max(time_nano) AS n FROM events");
  newest.setReadBigInts(true);
  return {
    insert({ timeNano, type, action, actorId, attributes }) {
      const json = JSON.stringify(attributes);
      return Number(insert.run(timeNano, type, action, actorId, json).lastInsertRowid);
    },
    read: (after, upTo, limit) => read.all(after, upTo, limit) as unknown as EventRow[],
    removeUpTo(seq) {
      remove.run(seq);
    },
    lastSeq: () => number(last) ?? 0,
    firstSeq: () => number(first),
    firstAt: (timeNano) => number(firstAt, timeNano),
    newestTime: () => (newest.get()?.["n"] as bigint | null | undefined) ?? 0n,
  };
}

/** The column `n` of the only row; undefined for no row or NULL. */
function number(statement: StatementSync, ...parameters: bigint[]): number | undefined {
  const value = statement.get(...parameters)?.["n"];
  return typeof value === "number" ? value : undefined;
}

interface Meta {
  getOrAdd(key: string, make: () => string): string;
  set(key: string, value: string): void;
}

function prepareMeta(db: DatabaseSync): Meta {
  const get = db.prepare("SELECT value FROM events_meta WHERE key = ?");
  const put = db.prepare(
    "INSERT INTO events_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
  );
  return {
    getOrAdd(key, make) {
      const found = get.get(key)?.["value"];
      if (typeof found === "string") return found;
      if (found !== undefined) throw internal(`event log: ${key} is not text`);
      const value = make();
      put.run(key, value);
      return value;
    },
    set(key, value) {
      put.run(key, value);
    },
  };
}
