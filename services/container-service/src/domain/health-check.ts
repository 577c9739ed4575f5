/** What a container's health check runs, and by which rules. */
import type { HealthRules } from "./health.ts";
import type { ContainerConfig } from "./nouns.ts";

/** A check to run. */
export interface HealthCheck {
  readonly command: readonly string[];
  readonly rules: HealthRules;
}

const nanoPerMs = 1_000_000n;
/** What a timer of Node can wait; it takes more for nothing at all. */
const longestMs = 2 ** 31 - 1;

/** The check of a configuration, or undefined when it has none. */
export function healthCheckOf(
  config: Pick<ContainerConfig, "healthcheck" | "shell">,
): HealthCheck | undefined {
  const { healthcheck } = config;
  const command = commandOf(healthcheck?.test?.values ?? [], config.shell?.values);
  if (healthcheck === undefined || command === undefined) return undefined;
  const ms = (value: bigint, otherwise: number): number =>
    value === 0n ? otherwise : Math.min(Number(value / nanoPerMs), longestMs);
  return {
    command,
    rules: {
      intervalMs: ms(healthcheck.intervalNs, 30_000),
      timeoutMs: ms(healthcheck.timeoutNs, 30_000),
      startPeriodMs: ms(healthcheck.startPeriodNs, 0),
      startIntervalMs: ms(healthcheck.startIntervalNs, 5000),
      retries: healthcheck.retries || 3,
    },
  };
}

function commandOf(
  test: readonly string[],
  shell: readonly string[] | undefined,
): readonly string[] | undefined {
  const [kind, ...rest] = test;
  if (kind === "CMD") return rest.length === 0 ? undefined : rest;
  if (kind !== "CMD-SHELL") return undefined;
  const program = shell === undefined || shell.length === 0 ? ["/bin/sh", "-c"] : shell;
  return [...program, rest.join(" ")];
}
