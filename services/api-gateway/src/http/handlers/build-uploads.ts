/**
 * Contexts that come by a request of their own, as old clients send them: the build waits for the other
 * request with its ID, and takes that one's body.
 */
import { EngineError } from "@gantry/errors";
import type { ApiCall } from "../api-call.ts";

/** A body that waits to be taken. */
interface Offered {
  readonly call: ApiCall;
  /** To be called when the build has it, or is over. */
  readonly taken: () => void;
}

/** What Docker waits. */
const waitMs = 5000;

/** Several may come with one ID: each is taken once, and each is told when nobody wants it. */
export class BuildUploads {
  readonly #offered = new Queues<Offered>();
  readonly #waiting = new Queues<(offered: Offered) => void>();

  /** Offers a request's body; resolves when it has been taken. Throws internal when nobody wants it. */
  async offer(id: string, call: ApiCall): Promise<void> {
    const done = Promise.withResolvers<undefined>();
    const offered = {
      call,
      taken: () => {
        done.resolve(undefined);
      },
    };
    const waiting = this.#waiting.shift(id);
    if (waiting !== undefined) {
      waiting(offered);
      await done.promise;
      return;
    }
    this.#offered.push(id, offered);
    const timer = setTimeout(() => {
      if (this.#offered.remove(id, offered)) done.reject(late());
    }, waitMs);
    try {
      await done.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits for a body. Throws internal when it does not come. */
  async take(id: string, signal: AbortSignal): Promise<Offered> {
    const offered = this.#offered.shift(id);
    if (offered !== undefined) return offered;
    const came = Promise.withResolvers<Offered>();
    const give = (up: unknown): void => {
      came.reject(up);
    };
    const timer = setTimeout(() => {
      give(late());
    }, waitMs);
    const onAbort = (): void => {
      give(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiting.push(id, came.resolve);
    try {
      return await came.promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      this.#waiting.remove(id, came.resolve);
    }
  }
}

/** A queue for each ID that has something in it. */
class Queues<T> {
  readonly #queues = new Map<string, Set<T>>();

  push(id: string, item: T): void {
    this.#queues.set(id, (this.#queues.get(id) ?? new Set()).add(item));
  }

  /** The oldest, which leaves the queue. */
  shift(id: string): T | undefined {
    for (const item of this.#queues.get(id) ?? []) {
      this.remove(id, item);
      return item;
    }
    return undefined;
  }

  /** False when it was not there any more. */
  remove(id: string, item: T): boolean {
    const queue = this.#queues.get(id);
    const wasThere = queue?.delete(item) ?? false;
    if (queue?.size === 0) this.#queues.delete(id);
    return wasThere;
  }
}

/** In the words of Docker, whose wait has the same length. */
const late = (): EngineError => new EngineError("internal", "context deadline exceeded");
