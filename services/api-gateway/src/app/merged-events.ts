/**
 * Events of several services as one stream.
 *
 * First the past: each log from the beginning asked for up to now, merged by time. Then the present,
 * in the order of arrival, each log resumed where its past ended, so that nothing is lost between.
 * A service that is down doesn't end the stream: its log is resumed when it is back.
 */
import { EngineError, hasKind } from "@gantry/errors";
import type { Event } from "@gantry/proto/event";
import type { EventSource } from "../backends.ts";
import { isBroken } from "./broken-call.ts";
import { Mailbox } from "./mailbox.ts";

/** Where to begin and end. */
export interface EventRange {
  /** Nanoseconds since the epoch; 0: no past, unless `until` is given. */
  readonly sinceNano: bigint;
  /** Nanoseconds since the epoch; 0: never. */
  readonly untilNano: bigint;
  /** Positions by service, from earlier steps; win over sinceNano. */
  readonly cursors?: Readonly<Record<string, string>>;
  /** Ends the stream. */
  readonly signal: AbortSignal;
}

/** An event or a mark of one service. */
export interface MergedStep {
  readonly source: string;
  readonly event: Event | undefined;
  readonly cursor: string;
  readonly gap: boolean;
}

/** How long a service that is down is waited for at a time. */
const retryMs = 1000;

/**
 * Opens the stream. When it resolves, nothing that happens from now on is missed.
 * Throws `unavailable` when no service answers.
 */
export async function mergedEvents(
  sources: readonly EventSource[],
  range: EventRange,
): Promise<AsyncGenerator<MergedStep>> {
  const nowNano = BigInt(Date.now()) * 1_000_000n;
  const followers = sources.map((source) => new Follower(source, range, nowNano));
  const openings = await Promise.allSettled(followers.map((each) => each.open()));
  const failed = openings.filter((each) => each.status === "rejected");
  const refusal = failed.find((each) => !hasKind(each.reason, "unavailable"));
  if (refusal !== undefined) throw refusal.reason;
  if (failed.length === sources.length && failed[0] !== undefined) throw failed[0].reason;
  return merge(followers, range.signal);
}

async function* merge(
  followers: readonly Follower[],
  signal: AbortSignal,
): AsyncGenerator<MergedStep> {
  for (const follower of followers) yield* follower.marks();
  const past = followers.flatMap((each) => each.past);
  past.sort((a, b) => compare(a.event?.timeNano ?? 0n, b.event?.timeNano ?? 0n));
  yield* past;
  const mailbox = new Mailbox<MergedStep>();
  const ended = followers.map((each) => each.follow(mailbox, signal));
  void Promise.all(ended).then(
    () => {
      mailbox.close();
    },
    (error: unknown) => {
      mailbox.fail(error);
    },
  );
  yield* mailbox.drain();
}

const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

/** One log on its way: its past, then its present. */
class Follower {
  readonly past: MergedStep[] = [];
  readonly #source: EventSource;
  readonly #range: EventRange;
  readonly #nowNano: bigint;
  #cursor: string;

  constructor(source: EventSource, range: EventRange, nowNano: bigint) {
    this.#source = source;
    this.#range = range;
    this.#nowNano = nowNano;
    this.#cursor = range.cursors?.[source.name] ?? "";
  }

  /** Reads the past, or takes the position of now. */
  async open(): Promise<void> {
    const { sinceNano, untilNano, signal } = this.#range;
    const wantsPast = this.#cursor !== "" || sinceNano !== 0n || untilNano !== 0n;
    const until = untilNano !== 0n && untilNano < this.#nowNano ? untilNano : this.#nowNano;
    const steps = this.#source.client.subscribe(
      {
        cursor: this.#cursor,
        sinceNano: wantsPast && sinceNano === 0n ? 1n : sinceNano,
        untilNano: until,
      },
      { signal },
    );
    for await (const step of steps) {
      this.#cursor = step.cursor;
      if (step.event !== undefined || step.gap) this.past.push(this.#step(step));
      else if (!wantsPast) return;
    }
  }

  /** Where the log stands, for callers that resume. */
  *marks(): Generator<MergedStep> {
    if (this.past.length > 0 || this.#cursor === "") return;
    yield { source: this.#source.name, event: undefined, cursor: this.#cursor, gap: false };
  }

  /** Delivers what happens from here on, through restarts of the service. */
  async follow(mailbox: Mailbox<MergedStep>, signal: AbortSignal): Promise<void> {
    const { untilNano } = this.#range;
    while (!signal.aborted && (untilNano === 0n || untilNano > this.#nowNano)) {
      try {
        await this.#followOnce(mailbox, signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!isBroken(error)) throw error;
        if (!(await this.#isBack(signal))) return;
      }
    }
  }

  async #followOnce(mailbox: Mailbox<MergedStep>, signal: AbortSignal): Promise<void> {
    const { untilNano } = this.#range;
    const steps = this.#source.client.subscribe(
      // Down since the beginning: what it logs from then on is new.
      { cursor: this.#cursor, sinceNano: this.#cursor === "" ? this.#nowNano : 0n, untilNano },
      { signal },
    );
    for await (const step of steps) {
      this.#cursor = step.cursor;
      if (step.event !== undefined || step.gap) await mailbox.put(this.#step(step));
    }
    if (untilNano === 0n && !signal.aborted) {
      throw new EngineError("unavailable", `${this.#source.name} ended its event stream`);
    }
  }

  /** Waits until the service is back; false when nobody listens any more, or the time asked for has passed. */
  async #isBack(signal: AbortSignal): Promise<boolean> {
    const { untilNano } = this.#range;
    while (!signal.aborted && (untilNano === 0n || BigInt(Date.now()) * 1_000_000n <= untilNano)) {
      try {
        await this.#source.ready(retryMs);
        return true;
      } catch (error) {
        if (!hasKind(error, "unavailable")) throw error;
      }
    }
    return false;
  }

  #step(step: { event?: Event | undefined; cursor: string; gap: boolean }): MergedStep {
    const { event, cursor, gap } = step;
    return { source: this.#source.name, event, cursor, gap };
  }
}
