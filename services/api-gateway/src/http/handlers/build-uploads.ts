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

export class BuildUploads {
  readonly #offered = new Map<string, Offered>();
  readonly #waiting = new Map<string, (offered: Offered) => void>();

  /** Offers a request's body; resolves when it has been taken. Throws internal when nobody wants it. */
  async offer(id: string, call: ApiCall): Promise<void> {
    const done = Promise.withResolvers<undefined>();
    const offered = {
      call,
      taken: () => {
        done.resolve(undefined);
      },
    };
    const waiting = this.#waiting.get(id);
    if (waiting !== undefined) {
      waiting(offered);
      await done.promise;
      return;
    }
    this.#offered.set(id, offered);
    const timer = setTimeout(() => {
      if (this.#offered.get(id) !== offered) return;
      this.#offered.delete(id);
      done.reject(late());
    }, waitMs);
    try {
      await done.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits for a body. Throws internal when it does not come. */
  async take(id: string, signal: AbortSignal): Promise<Offered> {
    const offered = this.#offered.get(id);
    if (offered !== undefined) {
      this.#offered.delete(id);
      return offered;
    }
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
    this.#waiting.set(id, came.resolve);
    try {
      return await came.promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      this.#waiting.delete(id);
    }
  }
}

/** In the words of Docker, whose wait has the same length. */
const late = (): EngineError => new EngineError("internal", "context deadline exceeded");
