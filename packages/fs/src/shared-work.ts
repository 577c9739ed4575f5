/** An act that its callers share. */
export interface SharedWork<T> {
  /** The outcome of a run that began after this call, or begins with it. Rejects as the act does. */
  (): Promise<T>;
  /** Resolves when no run is under way, whatever came of them: their callers are told. Never rejects. */
  settled(): Promise<void>;
}

/**
 * Makes of an act one that many callers share: whoever calls while it runs takes part in the next run,
 * since the running one may have missed what was done before the call.
 */
export function sharedWork<T>(act: () => Promise<T>): SharedWork<T> {
  let running: Promise<T> | undefined;
  let next: Promise<T> | undefined;
  const begin = (): Promise<T> => {
    const run = act().finally(() => {
      running = undefined;
    });
    running = run;
    return run;
  };
  const call = (): Promise<T> => {
    if (running === undefined) return begin();
    // Whoever called for the running one is told of its failure.
    next ??= running
      .catch(() => undefined)
      .then(() => {
        next = undefined;
        return begin();
      });
    return next;
  };
  const settled = async (): Promise<void> => {
    while (running !== undefined) await running.catch(() => undefined);
  };
  return Object.assign(call, { settled });
}
