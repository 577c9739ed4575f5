/** Health of a container: what a probe's result changes. Pure. */

/** One probe. */
export interface Probe {
  readonly startNano: bigint;
  readonly endNano: bigint;
  /** -1: it took too long. */
  readonly exitCode: number;
  /** At most 4096 bytes and "..." behind them. */
  readonly output: string;
}

/** Docker's Health. */
export interface Health {
  readonly status: "starting" | "healthy" | "unhealthy";
  readonly failingStreak: number;
  /** The last five, oldest first. */
  readonly log: readonly Probe[];
}

/** Health as it is kept beyond the life of this service. */
export interface KeptHealth extends Health {
  /** When the run that it tells of was started. */
  readonly runStartedNano: bigint;
  /** The exec of the probe that comes next, so that one that is under way can be found again. */
  readonly nextProbe: string;
}

/** The check's rules, defaults filled in. */
export interface HealthRules {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

/** Before the first probe. */
export const startingHealth: Health = { status: "starting", failingStreak: 0, log: [] };

const keptProbes = 5;

/** Health after a probe. `inStartPeriod`: the probe began within the start period. */
export function afterProbe(
  health: Health,
  probe: Probe,
  rules: HealthRules,
  inStartPeriod: boolean,
): Health {
  const log = [...health.log, probe].slice(-keptProbes);
  if (probe.exitCode === 0) return { status: "healthy", failingStreak: 0, log };
  if (inStartPeriod && health.status === "starting") return { ...health, log };
  const failingStreak = health.failingStreak + 1;
  const status = failingStreak >= rules.retries ? "unhealthy" : health.status;
  return { status, failingStreak, log };
}

/** Pause before the next probe. */
export function nextProbeMs(health: Health, rules: HealthRules, inStartPeriod: boolean): number {
  return inStartPeriod && health.status === "starting" ? rules.startIntervalMs : rules.intervalMs;
}

/** What is left of a pause that began at a time: never more than all of it, whatever clocks do. */
export function restOfPauseMs(pauseMs: number, beganNano: bigint, atNano: bigint): number {
  const goneMs = Number((atNano - beganNano) / 1_000_000n);
  return Math.min(Math.max(pauseMs - goneMs, 0), pauseMs);
}

const longestOutputBytes = 4096;

/** What is kept of a probe's output. */
export function cutOutput(output: Buffer): string {
  if (output.length <= longestOutputBytes) return output.toString("utf8");
  return `${output.subarray(0, longestOutputBytes).toString("utf8")}...`;
}
