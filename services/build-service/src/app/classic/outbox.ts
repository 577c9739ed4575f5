/** Messages between a build that tells and a stream that reads, in order. */
export class Outbox<T> implements AsyncIterable<T> {
  readonly #waiting: T[] = [];
  #wake = Promise.withResolvers<undefined>();
  #ended = false;

  put(message: T): void {
    this.#waiting.push(message);
    this.#wake.resolve(undefined);
  }

  end(): void {
    this.#ended = true;
    this.#wake.resolve(undefined);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const batch = this.#waiting.splice(0);
      yield* batch;
      if (batch.length > 0) continue;
      if (this.#ended) return;
      await this.#wake.promise;
      this.#wake = Promise.withResolvers<undefined>();
    }
  }
}
