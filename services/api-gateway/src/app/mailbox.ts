/** Several writers, one reader, bounded: a writer waits while the reader is behind. */

/** How many items wait before writers do. */
const capacity = 256;

/** A queue that ends, well or with an error. */
export class Mailbox<T> {
  #items: T[] = [];
  #changed = Promise.withResolvers<undefined>();
  #drained = Promise.withResolvers<undefined>();
  #closed = false;
  #failure: { readonly error: unknown } | undefined;

  /** Adds an item; resolves when there is room for the next. */
  async put(item: T): Promise<void> {
    this.#items.push(item);
    this.#wake();
    if (this.#items.length >= capacity && !this.#closed) await this.#drained.promise;
  }

  /** No more items. */
  close(): void {
    this.#closed = true;
    this.#wake();
  }

  /** The reader gets this error after the items before it. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.close();
  }

  /** Reads until the end. Leaving early lets the writers go on. */
  async *drain(): AsyncGenerator<T> {
    try {
      for (;;) {
        const items = this.#items;
        this.#items = [];
        this.#drained.resolve(undefined);
        this.#drained = Promise.withResolvers();
        yield* items;
        if (this.#items.length > 0) continue;
        if (this.#failure !== undefined) throw this.#failure.error;
        if (this.#closed) return;
        await this.#changed.promise;
      }
    } finally {
      this.#closed = true;
      this.#drained.resolve(undefined);
    }
  }

  #wake(): void {
    this.#changed.resolve(undefined);
    this.#changed = Promise.withResolvers();
  }
}
