/** The time of events: the wall clock, with more digits than `Date` has. */

/** Both clocks of a process, in milliseconds. */
export interface Clocks {
  /** Since the epoch, in whole milliseconds; whoever administrates the machine may set it. */
  readonly wallMs: () => number;
  /** With fractions, and never set. */
  readonly monotonicMs: () => number;
}

/** Further apart than their different resolutions explain, the wall clock has been set. */
const toleranceMs = 50;

const processClocks: Clocks = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

/**
 * A clock in nanoseconds since the epoch, with the wall clock's milliseconds and the monotonic clock's
 * digits below them. When the wall clock is set (a boot before the first answer of NTP, a machine that was
 * suspended), it follows.
 */
export function openClock({ wallMs, monotonicMs }: Clocks = processClocks): () => bigint {
  let originMs = wallMs() - monotonicMs();
  return () => {
    const beforeMs = monotonicMs();
    const nowMs = wallMs();
    const elapsedMs = monotonicMs();
    // The process may have had to wait for a core between the readings: that sets no clock.
    const earliestMs = originMs + beforeMs - toleranceMs;
    const latestMs = originMs + elapsedMs + toleranceMs;
    if (nowMs < earliestMs || nowMs > latestMs) originMs = nowMs - elapsedMs;
    return BigInt(Math.round((originMs + elapsedMs) * 1000)) * 1000n;
  };
}

/** The wall clock now, in nanoseconds. Its true resolution is a millisecond or better. */
export const nowNano = openClock();
