/** Equal work that several want at once is done once: for as long as one of them still wants it. */

/** What others hear of work that they joined. Earlier events are told again to those who come late. */
export type Listener<E> = (event: E) => void;

interface Running<T, E> {
  readonly result: Promise<T>;
  readonly abort: AbortController;
  readonly listeners: Set<Listener<E>>;
  readonly told: E[];
  waiting: number;
}

/** Work by key. */
export class SharedWork<T, E> {
  readonly #running = new Map<string, Running<T, E>>();

  /** Joins the work of a key, or starts it. It is aborted when the last who waits has given up. */
  async join(
    key: string,
    signal: AbortSignal,
    listener: Listener<E>,
    work: (signal: AbortSignal, tell: Listener<E>) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    const running = this.#running.get(key) ?? this.#start(key, work);
    for (const event of running.told) listener(event);
    running.listeners.add(listener);
    running.waiting += 1;
    const gone = Promise.withResolvers<never>();
    const onAbort = (): void => {
      gone.reject(signal.reason as Error);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([running.result, gone.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      running.listeners.delete(listener);
      running.waiting -= 1;
      if (running.waiting === 0) {
        // Nobody may join what is being aborted.
        if (this.#running.get(key) === running) this.#running.delete(key);
        running.abort.abort(signal.reason);
      }
    }
  }

  #start(key: string, work: (signal: AbortSignal, tell: Listener<E>) => Promise<T>): Running<T, E> {
    const abort = new AbortController();
    const listeners = new Set<Listener<E>>();
    const told: E[] = [];
    const tell = (event: E): void => {
      told.push(event);
      for (const each of listeners) each(event);
    };
    const result = work(abort.signal, tell).finally(() => {
      if (this.#running.get(key)?.result === result) this.#running.delete(key);
    });
    result.catch(() => undefined);
    const running: Running<T, E> = { result, abort, listeners, told, waiting: 0 };
    this.#running.set(key, running);
    return running;
  }
}
