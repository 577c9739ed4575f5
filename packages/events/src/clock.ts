/** The time of events: the wall clock, with more digits than `Date` has. */

/** Both clocks of a process, in milliseconds. */
export interface Clocks {
  /** Since the epoch, in whole milliseconds; whoever administrates the machine may set it. */
  readonly wallMs: () => number;
  /** With fractions, and never set. */
  readonly monotonicMs: () => number;
}

/** Further back than this the wall clock has been set. */
const toleranceMs = 50;

const processClocks: Clocks = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

/**
 * A clock in nanoseconds since the epoch, with the wall clock's milliseconds and the monotonic clock's
 * digits below them. It is never further from the wall clock than the millisecond that this counts in, so that the
 * times of two services tell which came first; where it would have to go back a little, it runs at half its speed until
 * they agree. When the wall clock is set (a boot before the first answer of NTP, a machine that was suspended), it follows.
 */
export function openClock({ wallMs, monotonicMs }: Clocks = processClocks): () => bigint {
  let readMs = monotonicMs();
  let originMs = wallMs() - readMs;
  return () => {
    const beforeMs = monotonicMs();
    const nowMs = wallMs();
    const elapsedMs = monotonicMs();
    // The process may have had to wait for a core between the readings.
    const earliestMs = nowMs - elapsedMs;
    const latestMs = nowMs + 1 - beforeMs;
    if (originMs < earliestMs || originMs > latestMs + toleranceMs) originMs = earliestMs;
    else if (originMs > latestMs) {
      originMs = Math.max(latestMs, originMs - (elapsedMs - readMs) / 2);
    }
    readMs = elapsedMs;
    return BigInt(Math.round((originMs + elapsedMs) * 1000)) * 1000n;
  };
}

/** The wall clock now, in nanoseconds, to a millisecond or better. */
export const nowNano = openClock();
