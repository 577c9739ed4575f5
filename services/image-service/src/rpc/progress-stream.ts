/** Makes a stream of what a use case reports by calls. */
import type { Emit, Progress } from "../domain/progress.ts";

/**
 * Runs a use case and yields its messages in order. A reader that is slow gets of each layer's
 * counting messages only the newest, so that memory stays bounded. The use case's error ends the
 * stream; a reader that goes away is waited for by nobody but the use case's own signal.
 */
export async function* streamProgress(
  run: (emit: Emit) => Promise<void>,
): AsyncGenerator<Progress> {
  const queue = new ProgressQueue();
  let failure: { readonly error: unknown } | undefined;
  const done = run((progress) => {
    queue.put(progress);
  })
    .catch((error: unknown) => {
      failure = { error };
    })
    .finally(() => {
      queue.close();
    });
  try {
    for (;;) {
      const batch = await queue.take();
      if (batch === undefined) break;
      yield* batch;
    }
  } finally {
    await done;
  }
  if (failure !== undefined) throw failure.error;
}

class ProgressQueue {
  #waiting: Progress[] = [];
  /** Positions in #waiting of counting messages, by what they count. */
  #counting = new Map<string, number>();
  #closed = false;
  #change = Promise.withResolvers<undefined>();

  put(progress: Progress): void {
    const key = countingKey(progress);
    const position = key === undefined ? undefined : this.#counting.get(key);
    if (position !== undefined) this.#waiting[position] = progress;
    else {
      if (key !== undefined) this.#counting.set(key, this.#waiting.length);
      this.#waiting.push(progress);
    }
    this.#notify();
  }

  close(): void {
    this.#closed = true;
    this.#notify();
  }

  /** All that waits, or undefined at the end. */
  async take(): Promise<Progress[] | undefined> {
    while (this.#waiting.length === 0) {
      if (this.#closed) return undefined;
      await this.#change.promise;
    }
    const batch = this.#waiting;
    this.#waiting = [];
    this.#counting = new Map();
    return batch;
  }

  #notify(): void {
    this.#change.resolve(undefined);
    this.#change = Promise.withResolvers();
  }
}

/** Undefined: the message is a step, which must not be lost. */
function countingKey({ id, status, detail }: Progress): string | undefined {
  if (id === undefined || detail?.current === undefined) return undefined;
  return `${id} ${status ?? ""}`;
}
