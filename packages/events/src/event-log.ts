/**
 * The log in use: appends inside transactions, subscribers outside them.
 *
 * A subscriber is only a position. It reads from the newest events in memory, and from the table when
 * it has fallen behind them, so a slow one costs nothing and holds nobody up.
 */
import type { DatabaseSync } from "node:sqlite";
import { invalidArgument } from "@gantry/errors";
import { formatCursor, parseCursor } from "./cursor.ts";
import { type LoggedEvent, type NewEvent, nowNano } from "./event.ts";
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

/** Where a subscription begins and ends. */
export interface SubscribeOptions {
  /** Position from an earlier step; wins over sinceNano. */
  readonly cursor?: string | undefined;
  /** Begin with the first event at or after this time. Default: only events after the call. */
  readonly sinceNano?: bigint | undefined;
  /** End after the last event before this time, once it has passed. Default: never. */
  readonly untilNano?: bigint | undefined;
  /** Ends the subscription without an error. */
  readonly signal: AbortSignal;
}

/** One step of a subscription: the opening mark, an event, or a gap. */
export interface SubscriptionStep {
  readonly event?: LoggedEvent;
  /** Position after this step. */
  readonly cursor: string;
  /** Events between the last step and the next one are gone: retention has passed them. */
  readonly gap: boolean;
}

/** A service's event log. */
export interface EventLog {
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
  /** Seq of the newest event that subscribers can see. */
  lastSeq(): number;
  /** Up to `limit` visible events after a position; empty at the end of the log. */
  readAfter(seq: number, limit: number): LoggedEvent[];
  /** Resolves when there is an event after this position, or the signal aborts. Never rejects. */
  waitAfter(seq: number, signal: AbortSignal): Promise<void>;
  /**
   * Follows the log. The first step comes at once, without event: from then on nothing is missed.
   * Throws invalid_argument for a malformed cursor or one of another service.
   */
  subscribe(options: SubscribeOptions): AsyncGenerator<SubscriptionStep, void>;
  /** How many subscriptions are open. */
  subscribers(): number;
}

/** Events read from the table at once. */
const pageSize = 256;

/** Opens the log of a service. */
export function openEventLog(options: EventLogOptions): EventLog {
  return new TableEventLog(options);
}

class TableEventLog implements EventLog {
  readonly table: EventTable;
  readonly #db: DatabaseSync;
  readonly #capacity: number;
  /** The newest visible events, in order and without holes. */
  #recent: LoggedEvent[] = [];
  #pending: LoggedEvent[] = [];
  #lastSeq: number;
  #advanced = Promise.withResolvers<undefined>();
  #subscribers = 0;

  constructor(options: EventLogOptions) {
    this.table = openEventTable(options);
    this.#db = options.db;
    this.#capacity = options.inMemory ?? 1024;
    this.#lastSeq = this.table.lastSeq();
  }

  append(event: NewEvent): LoggedEvent {
    const logged = this.table.append(event);
    this.#pending.push(logged);
    return logged;
  }

  committed(): void {
    const newest = this.#pending.at(-1);
    if (newest === undefined) return;
    this.#recent.push(...this.#pending);
    this.#pending = [];
    // Cut rarely, so that the cost of moving the array is spread over many events.
    if (this.#recent.length > this.#capacity * 2) {
      this.#recent = this.#recent.slice(-this.#capacity);
    }
    this.#lastSeq = newest.seq;
    this.#advanced.resolve(undefined);
    this.#advanced = Promise.withResolvers();
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

  lastSeq(): number {
    return this.#lastSeq;
  }

  readAfter(seq: number, limit: number): LoggedEvent[] {
    const oldest = this.#recent[0]?.seq ?? Number.POSITIVE_INFINITY;
    if (seq + 1 < oldest) return this.table.read(seq, this.#lastSeq, limit);
    const from = seq + 1 - oldest;
    return this.#recent.slice(from, from + limit);
  }

  async waitAfter(seq: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#lastSeq > seq) return;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const onAbort = (): void => {
      resolve(undefined);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await Promise.race([this.#advanced.promise, promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  async *subscribe(options: SubscribeOptions): AsyncGenerator<SubscriptionStep, void> {
    const start = this.#start(options);
    this.#subscribers++;
    try {
      yield { cursor: this.#cursor(start.seq), gap: start.gap };
      yield* this.#follow(start.seq, options);
    } finally {
      this.#subscribers--;
    }
  }

  subscribers(): number {
    return this.#subscribers;
  }

  #cursor(seq: number): string {
    return formatCursor({ service: this.table.service, storeId: this.table.storeId, seq });
  }

  #start(options: SubscribeOptions): { seq: number; gap: boolean } {
    if (options.cursor !== undefined && options.cursor !== "") return this.#resume(options.cursor);
    if (options.sinceNano === undefined) return { seq: this.#lastSeq, gap: false };
    return { seq: this.table.seqBefore(options.sinceNano), gap: false };
  }

  #resume(text: string): { seq: number; gap: boolean } {
    const cursor = parseCursor(text);
    if (cursor.service !== this.table.service) {
      throw invalidArgument(`event cursor belongs to ${cursor.service}`);
    }
    // Another store, or a position that this one never reached: the log was made anew since.
    if (cursor.storeId !== this.table.storeId || cursor.seq > this.#lastSeq) {
      return { seq: this.table.firstSeq() - 1, gap: true };
    }
    return { seq: cursor.seq, gap: false };
  }

  async *#follow(from: number, options: SubscribeOptions): AsyncGenerator<SubscriptionStep, void> {
    const { signal, untilNano } = options;
    using end = untilSignal(signal, untilNano);
    let seq = from;
    while (!signal.aborted) {
      const page = this.readAfter(seq, pageSize);
      for (const event of page) {
        if (untilNano !== undefined && event.timeNano > untilNano) return;
        if (event.seq !== seq + 1) yield { cursor: this.#cursor(event.seq - 1), gap: true };
        seq = event.seq;
        yield { event, cursor: this.#cursor(seq), gap: false };
        if (signal.aborted) return;
      }
      if (page.length > 0) continue;
      if (end.signal.aborted) return;
      await this.waitAfter(seq, end.signal);
    }
  }
}

/** Longest delay that a timer takes. */
const maxTimerMs = 2 ** 31 - 1;

/** Aborts with `signal`, or when the wall clock passes `untilNano`. */
function untilSignal(
  signal: AbortSignal,
  untilNano: bigint | undefined,
): Disposable & { readonly signal: AbortSignal } {
  if (untilNano === undefined) return { signal, [Symbol.dispose]: () => undefined };
  const controller = new AbortController();
  const abort = (): void => {
    controller.abort();
  };
  const leftMs = Math.min(Number((untilNano - nowNano()) / 1_000_000n) + 1, maxTimerMs);
  const timer = leftMs <= 0 ? undefined : setTimeout(abort, leftMs);
  if (leftMs <= 0 || signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    },
  };
}
