/**
 * What readers of a log see: a window of the newest events in memory, and the pages of the disk behind it.
 *
 * A subscriber is only a position. It reads from the newest events in memory, and from the pages when
 * it has fallen behind them, so a slow one costs nothing and holds nobody up.
 */
import { invalidArgument } from "@gantry/errors";
import { nowNano } from "./clock.ts";
import { formatCursor, parseCursor } from "./cursor.ts";
import type { LoggedEvent } from "./event.ts";

/** The log on disk. Answers may come later, when somebody else has to ask the disk. */
export interface EventPages {
  readonly service: string;
  readonly storeId: string;
  /** Up to `limit` events with `after < seq <= upTo`, in order. */
  read(after: number, upTo: number, limit: number): LoggedEvent[] | Promise<LoggedEvent[]>;
  /** Seq of the oldest event kept; one more than the newest when none is. */
  firstSeq(): number | Promise<number>;
  /** Seq before the first event at or after a time. */
  seqBefore(timeNano: bigint): number | Promise<number>;
  /** Highest seq that NATS has acknowledged, as far as it was known when the log was opened. */
  published(): number;
  setPublished(seq: number): void;
  /** Resolves when the events appended before this call are shown, or are known to be lost. Never rejects. */
  settled?(): Promise<void>;
  /** Seq of the newest event appended before this call, shown or not. Default: the newest that is shown. */
  newest?(): number | Promise<number>;
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

/** The log as its readers see it. */
export interface EventSource {
  readonly service: string;
  readonly storeId: string;
  /** Seq of the newest event that subscribers can see. */
  lastSeq(): number;
  /** Up to `limit` visible events after a position; empty at the end of the log. */
  readAfter(seq: number, limit: number): Promise<readonly LoggedEvent[]>;
  /** Resolves when there is an event after this position, or the signal aborts. Never rejects. */
  waitAfter(seq: number, signal: AbortSignal): Promise<void>;
  /**
   * Follows the log. The first step comes at once, without event: from then on nothing is missed.
   * Throws invalid_argument for a malformed cursor or one of another service.
   */
  subscribe(options: SubscribeOptions): AsyncGenerator<SubscriptionStep, void>;
  /** How many subscriptions are open. */
  subscribers(): number;
  /** Highest seq that NATS has acknowledged. */
  published(): number;
  setPublished(seq: number): void;
}

/** Options of an EventFeed. */
export interface EventFeedOptions {
  readonly pages: EventPages;
  /** Seq of the newest event on disk. */
  readonly lastSeq: number;
  /** Events kept in memory. Default 1024. */
  readonly inMemory?: number | undefined;
}

/** Events read from the pages at once. */
const pageSize = 256;

/** A log in use. Whoever writes it shows what is committed. */
export class EventFeed implements EventSource {
  readonly service: string;
  readonly storeId: string;
  readonly #pages: EventPages;
  readonly #capacity: number;
  /** The newest visible events, in order and without holes. */
  #recent: LoggedEvent[] = [];
  #lastSeq: number;
  #advanced = Promise.withResolvers<undefined>();
  #subscribers = 0;

  constructor({ pages, lastSeq, inMemory = 1024 }: EventFeedOptions) {
    this.service = pages.service;
    this.storeId = pages.storeId;
    this.#pages = pages;
    this.#capacity = inMemory;
    this.#lastSeq = lastSeq;
  }

  /** To be called after COMMIT, in the order of the commits. */
  show(events: readonly LoggedEvent[]): void {
    const newest = events.at(-1);
    if (newest === undefined) return;
    this.#recent.push(...events);
    // Cut rarely, so that the cost of moving the array is spread over many events.
    if (this.#recent.length > this.#capacity * 2) {
      this.#recent = this.#recent.slice(-this.#capacity);
    }
    this.#lastSeq = newest.seq;
    this.#advanced.resolve(undefined);
    this.#advanced = Promise.withResolvers();
  }

  lastSeq(): number {
    return this.#lastSeq;
  }

  published(): number {
    return this.#pages.published();
  }

  setPublished(seq: number): void {
    this.#pages.setPublished(seq);
  }

  async readAfter(seq: number, limit: number): Promise<readonly LoggedEvent[]> {
    const oldest = this.#recent[0]?.seq ?? Number.POSITIVE_INFINITY;
    if (seq >= this.#lastSeq) return [];
    if (seq + 1 < oldest) return await this.#pages.read(seq, this.#lastSeq, limit);
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
    // Asked for at once: what is appended from now on may be shown together with what was before.
    const [start] = await Promise.all([this.#start(options), this.#pages.settled?.()]);
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
    return formatCursor({ service: this.service, storeId: this.storeId, seq });
  }

  async #start(options: SubscribeOptions): Promise<{ seq: number; gap: boolean }> {
    if (options.cursor !== undefined && options.cursor !== "") {
      return await this.#resume(options.cursor);
    }
    if (options.sinceNano === undefined) {
      return { seq: (await this.#pages.newest?.()) ?? this.#lastSeq, gap: false };
    }
    return { seq: await this.#pages.seqBefore(options.sinceNano), gap: false };
  }

  async #resume(text: string): Promise<{ seq: number; gap: boolean }> {
    const cursor = parseCursor(text);
    if (cursor.service !== this.service) {
      throw invalidArgument(`event cursor belongs to ${cursor.service}`);
    }
    // Another store, or a position that this one never reached: the log was made anew since.
    if (cursor.storeId !== this.storeId || cursor.seq > this.#lastSeq) {
      return { seq: (await this.#pages.firstSeq()) - 1, gap: true };
    }
    return { seq: cursor.seq, gap: false };
  }

  async *#follow(from: number, options: SubscribeOptions): AsyncGenerator<SubscriptionStep, void> {
    const { signal, untilNano } = options;
    using end = untilSignal(signal, untilNano);
    let seq = from;
    while (!signal.aborted) {
      const page = await this.readAfter(seq, pageSize);
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
  let timer: NodeJS.Timeout | undefined;
  const wait = (): void => {
    const leftMs = Number((untilNano - nowNano()) / 1_000_000n) + 1;
    if (leftMs <= 0) abort();
    else timer = setTimeout(wait, Math.min(leftMs, maxTimerMs));
  };
  if (signal.aborted) abort();
  else wait();
  signal.addEventListener("abort", abort, { once: true });
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    },
  };
}
