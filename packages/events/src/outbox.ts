/**
 * The outbox: carries the log to NATS, in order, at least once. Its position is in the database, so
 * that neither a restart of ours nor of NATS loses an event; the message ID lets the stream drop
 * what it gets twice. While NATS is down nothing waits for it: the log is the queue.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "@gantry/logging";
import { eventJson, eventSubject, type LoggedEvent } from "./event.ts";
import type { EventSource } from "./event-feed.ts";
import type { NatsMessage, NatsPublisher } from "./nats-connection.ts";

/** Options of startOutbox. */
export interface OutboxOptions {
  readonly log: EventSource;
  readonly logger: Logger;
  /** The URL to use now, asked before every attempt. Undefined: there is no NATS at the moment. */
  readonly natsUrl: () => string | undefined;
  /** Pause after a failure; doubles up to `maxBackoffMs`. Default 100. */
  readonly minBackoffMs?: number;
  /** Default 2000. */
  readonly maxBackoffMs?: number;
}

/** A running outbox. */
export interface Outbox extends AsyncDisposable {
  /** Resolves when all events up to now are with NATS, or the signal aborts. */
  drained(signal: AbortSignal): Promise<void>;
  /** Stops after the batch in hand. */
  close(): Promise<void>;
}

/** Events sent before their acknowledgements are awaited. */
const batchSize = 64;
/** A run makes several events in a row: they are sent together, and not while its caller waits for us. */
const gatherMs = 20;

/** Starts to publish. Returns at once. */
export function startOutbox(options: OutboxOptions): Outbox {
  const controller = new AbortController();
  const outbox = new OutboxLoop(options, controller.signal);
  const done = outbox.run();
  const close = async (): Promise<void> => {
    controller.abort();
    await done;
  };
  return { drained: (signal) => outbox.drained(signal), close, [Symbol.asyncDispose]: close };
}

class OutboxLoop {
  readonly #options: OutboxOptions;
  readonly #signal: AbortSignal;
  #published: number;
  #progress = Promise.withResolvers<undefined>();

  constructor(options: OutboxOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#published = options.log.published();
  }

  async run(): Promise<void> {
    const { minBackoffMs = 100, maxBackoffMs = 2000, logger } = this.#options;
    let backoffMs = minBackoffMs;
    while (!this.#signal.aborted) {
      const before = this.#published;
      try {
        await this.#session();
      } catch (error) {
        if (!this.#signal.aborted) logger.warn({ err: error }, "events wait for NATS");
      }
      backoffMs = this.#published > before ? minBackoffMs : Math.min(backoffMs * 2, maxBackoffMs);
      await pause(backoffMs, undefined, { signal: this.#signal }).catch(() => undefined);
    }
  }

  async drained(signal: AbortSignal): Promise<void> {
    const target = this.#options.log.lastSeq();
    const aborted = Promise.withResolvers<undefined>();
    const onAbort = (): void => {
      aborted.resolve(undefined);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      while (this.#published < target && !signal.aborted && !this.#signal.aborted) {
        await Promise.race([this.#progress.promise, aborted.promise]);
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** One connection, until it breaks or the outbox is closed. */
  async #session(): Promise<void> {
    const { log, logger } = this.#options;
    const url = this.#options.natsUrl();
    if (url === undefined) return;
    // Loaded when needed: an engine without NATS does not pay for its client.
    const { connectNats } = await import("./nats-connection.ts");
    await using nats = await connectNats(url, `gantry ${log.service}`);
    logger.info({ durable: nats.durable, published: this.#published }, "publishing events");
    const lost = new AbortController();
    void nats.closed.then(() => {
      lost.abort();
    });
    const stop = AbortSignal.any([this.#signal, lost.signal]);
    while (!stop.aborted) {
      await log.waitAfter(this.#published, stop);
      await pause(gatherMs, undefined, { signal: stop }).catch(() => undefined);
      if (!stop.aborted) await this.#publishBatch(nats);
    }
  }

  async #publishBatch(nats: NatsPublisher): Promise<void> {
    const { log, logger } = this.#options;
    const batch = await log.readAfter(this.#published, batchSize);
    const [first, last] = [batch[0], batch.at(-1)];
    if (first === undefined || last === undefined) return;
    if (first.seq !== this.#published + 1) {
      const missing = first.seq - this.#published - 1;
      logger.error({ missing }, "events were dropped before NATS was back: retention passed them");
    }
    await nats.publish(batch.map(messageOf));
    this.#published = last.seq;
    log.setPublished(last.seq);
    this.#progress.resolve(undefined);
    this.#progress = Promise.withResolvers();
  }
}

function messageOf(event: LoggedEvent): NatsMessage {
  return { subject: eventSubject(event), payload: eventJson(event), msgId: event.msgId };
}
