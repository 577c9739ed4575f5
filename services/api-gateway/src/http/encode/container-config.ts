/** ContainerConfig → Docker's Config. */
import type { ContainerConfig, HealthConfig } from "@gantry/proto/container";
import { listOrNull } from "./host-config.ts";
import { type JsonOut, nullIfEmpty, sorted, unlessEmpty } from "./json.ts";
import { opened } from "./version-gates.ts";

/** Encodes a configuration as inspect shows it. */
export function encodeConfig(config: ContainerConfig, version: number): JsonOut {
  return {
    Hostname: config.hostname,
    Domainname: config.domainname,
    User: config.user,
    AttachStdin: config.attachStdin,
    AttachStdout: config.attachStdout,
    AttachStderr: config.attachStderr,
    ExposedPorts: config.exposedPorts.length === 0 ? undefined : set(config.exposedPorts),
    Tty: config.tty,
    OpenStdin: config.openStdin,
    StdinOnce: config.stdinOnce,
    Env: config.env,
    Cmd: listOrNull(config.cmd),
    Healthcheck: config.healthcheck && encodeHealthConfig(config.healthcheck, version),
    ArgsEscaped: config.argsEscaped || undefined,
    Image: config.image,
    Volumes: config.volumes.length === 0 ? null : set(config.volumes),
    WorkingDir: config.workingDir,
    Entrypoint: listOrNull(config.entrypoint),
    NetworkDisabled: config.networkDisabled || undefined,
    MacAddress: opened("noConfigMac", version) ? undefined : unlessEmpty(config.macAddress),
    OnBuild: nullIfEmpty(config.onBuild),
    Labels: sorted(config.labels),
    StopSignal: unlessEmpty(config.stopSignal),
    StopTimeout: config.stopTimeoutSeconds,
    Shell: config.shell?.values.length ? config.shell.values : undefined,
  };
}

/** A Go set: a map to empty objects. */
function set(keys: readonly string[]): JsonOut {
  return Object.fromEntries(keys.map((key) => [key, {}]));
}

function encodeHealthConfig(health: HealthConfig, version: number): JsonOut {
  const omitZero = (value: bigint): bigint | undefined => (value === 0n ? undefined : value);
  return {
    Test: health.test?.values.length ? health.test.values : undefined,
    Interval: omitZero(health.intervalNs),
    Timeout: omitZero(health.timeoutNs),
    StartPeriod: omitZero(health.startPeriodNs),
    StartInterval: opened("startInterval", version) ? omitZero(health.startIntervalNs) : undefined,
    Retries: health.retries === 0 ? undefined : health.retries,
  };
}
