/** A container's configuration as the `config` object of an OCI image. */
import type { ContainerConfig } from "./nouns.ts";

export function imageConfigJson(config: ContainerConfig): string {
  const { healthcheck } = config;
  const set = (names: readonly string[]) =>
    names.length === 0 ? undefined : Object.fromEntries(names.map((name) => [name, {}]));
  const health =
    healthcheck === undefined
      ? undefined
      : {
          Test: healthcheck.test?.values,
          Interval: Number(healthcheck.intervalNs) || undefined,
          Timeout: Number(healthcheck.timeoutNs) || undefined,
          StartPeriod: Number(healthcheck.startPeriodNs) || undefined,
          StartInterval: Number(healthcheck.startIntervalNs) || undefined,
          Retries: healthcheck.retries || undefined,
        };
  return JSON.stringify({
    User: config.user || undefined,
    ExposedPorts: set(config.exposedPorts),
    Env: config.env.length === 0 ? undefined : config.env,
    Entrypoint: config.entrypoint?.values,
    Cmd: config.cmd?.values,
    Volumes: set(config.volumes),
    WorkingDir: config.workingDir || undefined,
    Labels: Object.keys(config.labels).length === 0 ? undefined : config.labels,
    StopSignal: config.stopSignal || undefined,
    Healthcheck: health,
    OnBuild: config.onBuild.length === 0 ? undefined : config.onBuild,
    Shell: config.shell?.values,
  });
}
