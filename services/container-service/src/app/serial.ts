/** One thing after the other. */

/** Runs tasks in the order in which they came; the next begins when the one before has ended. */
export interface Serial {
  /** A task begins at once, within this call, when nothing else runs. */
  run<T>(task: () => Promise<T>): Promise<T>;
  /** Whether a task runs or waits. */
  busy(): boolean;
}

export function openSerial(): Serial {
  const waiting: (() => void)[] = [];
  let running = false;
  const finished = (): void => {
    const next = waiting.shift();
    if (next === undefined) running = false;
    else next();
  };
  const begin = async <T>(task: () => Promise<T>): Promise<T> => {
    try {
      return await task();
    } finally {
      finished();
    }
  };
  return {
    run(task) {
      if (!running) {
        running = true;
        return begin(task);
      }
      return new Promise((resolve, reject) => {
        waiting.push(() => {
          begin(task).then(resolve, reject);
        });
      });
    },
    busy: () => running,
  };
}
