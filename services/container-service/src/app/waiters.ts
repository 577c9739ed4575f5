/** Those who wait for a container to end or to be removed. */
import { EngineError } from "@gantry/errors";

/** What a wait gives. */
export interface WaitResult {
  readonly exitCode: number;
  /** Text when the removal failed, else empty. */
  readonly error: string;
}

/** When a wait ends. */
export type WaitCondition = "not-running" | "next-exit" | "removed";

/** The waits of one container. */
export interface Waiters {
  /** Registers at once. Rejects with `canceled` when the signal aborts. */
  add(condition: WaitCondition, signal: AbortSignal): Promise<WaitResult>;
  /** The process has ended: `not-running` and `next-exit` are answered. */
  exited(exitCode: number): void;
  /** The container is gone, or could not be removed: all are answered. */
  removed(result: WaitResult): void;
}

interface Waiter {
  readonly condition: WaitCondition;
  settle(result: WaitResult): void;
}

export function openWaiters(): Waiters {
  const waiters = new Set<Waiter>();
  const settle = (chosen: (waiter: Waiter) => boolean, result: WaitResult): void => {
    for (const waiter of waiters) {
      if (!chosen(waiter)) continue;
      waiters.delete(waiter);
      waiter.settle(result);
    }
  };
  return {
    add(condition, signal) {
      return new Promise((resolve, reject) => {
        const abort = (): void => {
          waiters.delete(waiter);
          reject(new EngineError("canceled", "the wait was canceled"));
        };
        const waiter: Waiter = {
          condition,
          settle(result) {
            signal.removeEventListener("abort", abort);
            resolve(result);
          },
        };
        if (signal.aborted) {
          abort();
          return;
        }
        signal.addEventListener("abort", abort, { once: true });
        waiters.add(waiter);
      });
    },
    exited(exitCode) {
      settle(({ condition }) => condition !== "removed", { exitCode, error: "" });
    },
    removed(result) {
      settle(() => true, result);
    },
  };
}
