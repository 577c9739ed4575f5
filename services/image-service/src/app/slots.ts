/** A number of slots, given out in order of asking. */
import { canceled } from "@gantry/errors";

export interface Slots {
  /** Resolves with a slot; dispose it to give it back. Rejects when the signal aborts first. */
  take(signal: AbortSignal): Promise<Disposable>;
  /** How many are free now. */
  readonly free: number;
}

export function createSlots(count: number): Slots {
  let free = count;
  const waiting = new Set<() => void>();
  const giveBack = (): void => {
    const [next] = waiting;
    if (next === undefined) free += 1;
    else next();
  };
  const slot = (): Disposable => {
    let held = true;
    return {
      [Symbol.dispose]() {
        if (held) giveBack();
        held = false;
      },
    };
  };
  return {
    get free() {
      return free;
    },
    take(signal) {
      if (signal.aborted) return Promise.reject(canceled("canceled while waiting"));
      if (free > 0) {
        free -= 1;
        return Promise.resolve(slot());
      }
      return new Promise((resolve, reject) => {
        const granted = (): void => {
          waiting.delete(granted);
          signal.removeEventListener("abort", aborted);
          resolve(slot());
        };
        const aborted = (): void => {
          waiting.delete(granted);
          reject(canceled("canceled while waiting"));
        };
        waiting.add(granted);
        signal.addEventListener("abort", aborted, { once: true });
      });
    },
  };
}
