/** What a create leaves open, filled in as Docker shows it in inspect. */
import { internal } from "@gantry/errors";
import type { HostConfig, StringList } from "../domain/nouns.ts";
import { normalizeResources } from "../domain/validate/normalize-resources.ts";
import type { App } from "./context.ts";

/** HostConfig as it is kept, and what the user should hear. */
export interface CompleteHostConfig {
  readonly hostConfig: HostConfig;
  readonly warnings: readonly string[];
}

export function completeHostConfig(app: App, given: HostConfig): CompleteHostConfig {
  const { createDefaults: defaults, host } = app;
  const { resources, warnings } = normalizeResources(given.resources ?? emptyResources(), host);
  const hostConfig: HostConfig = {
    ...given,
    resources,
    logConfig: completeLogConfig(app, given),
    restartPolicy: given.restartPolicy?.name
      ? given.restartPolicy
      : { $typeName: "gantry.container.v1.RestartPolicy", name: "no", maximumRetryCount: 0 },
    ipcMode: given.ipcMode || defaults.ipcMode,
    cgroupnsMode: given.cgroupnsMode || defaultCgroupns(app, given.privileged),
    shmSizeBytes: given.shmSizeBytes || BigInt(defaults.shmSizeBytes),
    runtime: given.runtime || "runc",
    securityOpt: completeSecurity(given),
    ...completePaths(app, given),
  };
  return { hostConfig, warnings };
}

function completeLogConfig(app: App, given: HostConfig): NonNullable<HostConfig["logConfig"]> {
  const { logDriver, logOptions } = app.createDefaults;
  const type = given.logConfig?.type || logDriver;
  const inherited = type === logDriver ? logOptions : {};
  const config = { ...inherited, ...given.logConfig?.config };
  return { $typeName: "gantry.container.v1.LogConfig", type, config };
}

/** On v1 a namespace of their own would hide the hierarchies that old programs look for. */
function defaultCgroupns(app: App, privileged: boolean): "host" | "private" {
  const isV1 = app.host.cgroupVersion === "1";
  if (isV1 && privileged) return "host";
  return app.createDefaults.cgroupnsMode ?? (isV1 ? "host" : "private");
}

/** Docker puts down that a container which shares this much of the host has no label of SELinux. */
function completeSecurity(given: HostConfig): StringList | undefined {
  const { securityOpt, privileged, ipcMode, pidMode } = given;
  const own = securityOpt?.values ?? [];
  const isHosts = privileged || ipcMode === "host" || pidMode === "host";
  if (!isHosts || own.some((option) => option.startsWith("label"))) return securityOpt;
  return list([...own, "label=disable"]);
}

function completePaths(
  app: App,
  given: HostConfig,
): Pick<HostConfig, "maskedPaths" | "readonlyPaths"> {
  refuseSystemPaths(given.securityOpt?.values ?? []);
  const { maskedPaths, readonlyPaths } = app.runtimeDefaults;
  if (given.privileged)
    return { maskedPaths: given.maskedPaths, readonlyPaths: given.readonlyPaths };
  return {
    maskedPaths: given.maskedPaths ?? list(maskedPaths),
    readonlyPaths: given.readonlyPaths ?? list(readonlyPaths),
  };
}

/** The CLI makes empty lists of paths of it; a daemon does not know it. */
function refuseSystemPaths(options: readonly string[]): void {
  const asked = options.find((option) => /^systempaths[=:]/.test(option));
  if (asked !== undefined) throw internal(`invalid --security-opt 2: "${asked}"`);
}

function list(values: readonly string[]): StringList {
  return { $typeName: "gantry.container.v1.StringList", values: [...values] };
}

function emptyResources(): NonNullable<HostConfig["resources"]> {
  return {
    $typeName: "gantry.container.v1.Resources",
    cpuShares: 0n,
    memoryBytes: 0n,
    nanoCpus: 0n,
    cgroupParent: "",
    blkioWeight: 0,
    blkioWeightDevice: [],
    blkioDeviceReadBps: [],
    blkioDeviceWriteBps: [],
    blkioDeviceReadIops: [],
    blkioDeviceWriteIops: [],
    cpuPeriodUs: 0n,
    cpuQuotaUs: 0n,
    cpuRealtimePeriodUs: 0n,
    cpuRealtimeRuntimeUs: 0n,
    cpusetCpus: "",
    cpusetMems: "",
    devices: [],
    deviceRequests: [],
    kernelMemoryTcpBytes: 0n,
    memoryReservationBytes: 0n,
    memorySwapBytes: 0n,
    ulimits: [],
    cpuCount: 0n,
    cpuPercent: 0n,
    ioMaximumIops: 0n,
    ioMaximumBandwidth: 0n,
  };
}
