/** Process events of all containers, to any number of readers. */
import type { WatchResponse } from "@gantry/proto/shim";

/** Hands every event to every reader that was there when it came. */
export interface EventHub {
  publish(event: WatchResponse): void;
  /**
   * Events from this call on (not from the first read on), until the signal aborts or the hub is
   * closed. What a slow reader has not read yet waits in memory.
   */
  subscribe(signal: AbortSignal | undefined): AsyncIterable<WatchResponse>;
  /** Ends every reader once it has read what came before. */
  close(): void;
}

interface Reader {
  push(event: WatchResponse): void;
  end(): void;
}

export function createEventHub(): EventHub {
  const readers = new Set<Reader>();
  let closed = false;
  return {
    publish: (event) => {
      for (const reader of readers) reader.push(event);
    },
    subscribe: (signal) => {
      const queue = createQueue();
      const stop = (): void => {
        readers.delete(queue);
        queue.end();
      };
      if (closed || signal?.aborted === true) stop();
      else readers.add(queue);
      signal?.addEventListener("abort", stop, { once: true });
      return queue.read(() => {
        signal?.removeEventListener("abort", stop);
        stop();
      });
    },
    close: () => {
      closed = true;
      for (const reader of readers) reader.end();
      readers.clear();
    },
  };
}

function createQueue(): Reader & { read(onReturn: () => void): AsyncIterable<WatchResponse> } {
  const waiting: WatchResponse[] = [];
  let ended = false;
  let wake: (() => void) | undefined;
  const notify = (): void => {
    wake?.();
    wake = undefined;
  };
  return {
    push: (event) => {
      waiting.push(event);
      notify();
    },
    end: () => {
      ended = true;
      notify();
    },
    async *read(onReturn) {
      try {
        for (;;) {
          const next = waiting.shift();
          if (next !== undefined) yield next;
          else if (ended) return;
          else
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
        }
      } finally {
        onReturn();
      }
    },
  };
}
