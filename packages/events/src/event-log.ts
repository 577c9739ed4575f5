/** The log of a service that commits on its own thread: appends inside transactions, readers outside them. */
import type { DatabaseSync } from "node:sqlite";
import type { LoggedEvent, NewEvent } from "./event.ts";
import { EventFeed, type EventSource } from "./event-feed.ts";
import { type EventTable, openEventTable } from "./event-table.ts";

/** Options of openEventLog. */
export interface EventLogOptions {
  /** The database of the service's state; the log makes its own tables in it. */
  readonly db: DatabaseSync;
  readonly service: string;
  /** Events kept on disk. Default 100 000. */
  readonly retain?: number;
  /** Events kept in memory. Default 1024. */
  readonly inMemory?: number;
}

/** A service's event log. */
export interface EventLog extends EventSource {
  readonly table: EventTable;
  /**
   * Adds an event within the open transaction. Nobody sees it before committed(). Inside
   * transaction() that is called for you.
   */
  append(event: NewEvent): LoggedEvent;
  /** To be called after COMMIT: shows the events appended since. */
  committed(): void;
  /** To be called after ROLLBACK: forgets the events appended since. */
  rolledBack(): void;
  /** Runs `change` in a transaction (BEGIN IMMEDIATE) of the database, and shows its events. */
  transaction<T>(change: () => T): T;
}

/** Opens the log of a service. */
export function openEventLog(options: EventLogOptions): EventLog {
  return new TableEventLog(options, openEventTable(options));
}

class TableEventLog extends EventFeed implements EventLog {
  readonly table: EventTable;
  readonly #db: DatabaseSync;
  #pending: LoggedEvent[] = [];

  constructor({ db, inMemory }: EventLogOptions, table: EventTable) {
    super({ pages: table, lastSeq: table.lastSeq(), inMemory });
    this.table = table;
    this.#db = db;
  }

  append(event: NewEvent): LoggedEvent {
    const logged = this.table.append(event);
    this.#pending.push(logged);
    return logged;
  }

  committed(): void {
    this.show(this.#pending);
    this.#pending = [];
  }

  rolledBack(): void {
    this.#pending = [];
  }

  transaction<T>(change: () => T): T {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const result = change();
      this.#db.exec("COMMIT");
      this.committed();
      return result;
    } catch (error) {
      this.rolledBack();
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }
}
