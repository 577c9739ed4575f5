/**
 * How containers ended that have removed themselves. A client that starts one and only then waits for it (dockerode's
 * `run`) is late when the program is quick: it gets the exit code all the same for a while.
 */

/** Time that a client has for its wait. */
const keptMs = 10_000;
/** So many are kept at most: the newest. */
const keptCount = 1000;

/** Exit codes by ID. */
export interface Departed {
  note(id: string, exitCode: number): void;
  exitCode(id: string): number | undefined;
}

/** @param nowMs a clock that only goes forward */
export function openDeparted(nowMs: () => number = () => performance.now()): Departed {
  const ends = new Map<string, { readonly exitCode: number; readonly until: number }>();
  const forget = (): void => {
    const now = nowMs();
    for (const [id, { until }] of ends) {
      if (until > now && ends.size <= keptCount) return;
      ends.delete(id);
    }
  };
  return {
    note(id, exitCode) {
      ends.set(id, { exitCode, until: nowMs() + keptMs });
      forget();
    },
    exitCode(id) {
      forget();
      return ends.get(id)?.exitCode;
    },
  };
}
