/** What may stand in a HostConfig. Refusals are in Docker's words, and invalid_argument where nothing else is said. */
import { internal, invalidArgument } from "@gantry/errors";
import { capabilityName, knownCapability } from "../capability-names.ts";
import type { HostConfig, RestartPolicy } from "../nouns.ts";
import { parseSecurityOptions } from "../security-options.ts";

/** Log drivers that exist. Others are refused as an engine without their plugin does. */
const logDrivers = new Set(["json-file", "local", "none"]);
const rotationOptions = ["max-size", "max-file", "compress"];
const attributeOptions = [
  "labels",
  "labels-regex",
  "env",
  "env-regex",
  "tag",
  "mode",
  "max-buffer-size",
  "cache-disabled",
  "cache-max-file",
  "cache-max-size",
  "cache-compress",
];

/** Checks what depends on nothing but the HostConfig itself. */
export function validateHostConfig(host: HostConfig): void {
  validateRestartPolicy(host.restartPolicy, host.autoRemove);
  validateModes(host);
  validateCapabilities("CapAdd", host.capAdd?.values ?? []);
  validateCapabilities("CapDrop", host.capDrop?.values ?? []);
  parseSecurityOptions(host.securityOpt?.values ?? []);
  refuseIf(
    host.oomScoreAdj < -1000 || host.oomScoreAdj > 1000,
    `Invalid value ${String(host.oomScoreAdj)}, range for oom score adj is [-1000, 1000]`,
  );
  refuseIf(host.shmSizeBytes < 0n, "SHM size can not be less than 0");
  refuseIf(
    Object.keys(host.annotations).includes(""),
    "invalid Annotations: the empty string is not permitted as an annotation key",
  );
  refuseIf(
    !["", "default"].includes(host.isolation),
    `invalid isolation (${host.isolation}): linux only supports 'default'`,
  );
  refuseIf(
    !["", "runc", "gantry", "io.containerd.runc.v2"].includes(host.runtime),
    `unknown or invalid runtime name: ${host.runtime}`,
  );
  refuseStorageOptions(Object.keys(host.storageOpt));
  for (const rule of host.resources?.deviceCgroupRules?.values ?? []) validateDeviceRule(rule);
  for (const ulimit of host.resources?.ulimits ?? []) validateUlimit(ulimit.name, ulimit);
}

/** A fault of the daemon, as dockerd has it, whose driver says these. */
function refuseStorageOptions(keys: readonly string[]): void {
  const unknown = keys.find((key) => key.toLowerCase() !== "size");
  if (unknown !== undefined) throw internal(`Unknown option ${unknown}`);
  if (keys.length > 0) {
    throw internal(
      "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
    );
  }
}

/** Of create and update. */
export function validateRestartPolicy(
  policy: RestartPolicy | undefined,
  autoRemove: boolean,
): void {
  const name = policy?.name ?? "";
  const retries = policy?.maximumRetryCount ?? 0;
  switch (name) {
    case "":
    case "no":
    case "always":
    case "unless-stopped":
      refuseIf(
        retries !== 0,
        retries < 0
          ? "invalid restart policy: maximum retry count can only be used with 'on-failure' and cannot be negative"
          : "invalid restart policy: maximum retry count can only be used with 'on-failure'",
      );
      break;
    case "on-failure":
      refuseIf(retries < 0, "invalid restart policy: maximum retry count cannot be negative");
      break;
    default:
      throw invalidArgument(
        `invalid restart policy: unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
      );
  }
  refuseIf(
    autoRemove && name !== "" && name !== "no",
    "can't create 'AutoRemove' container with restart policy",
  );
}

function validateModes(host: HostConfig): void {
  const container = /^container:.+/;
  refuseIf(
    !["", "private", "shareable", "host", "none"].includes(host.ipcMode) &&
      !container.test(host.ipcMode),
    `invalid IPC mode: ${host.ipcMode}`,
  );
  refuseIf(
    !["", "host"].includes(host.pidMode) && !container.test(host.pidMode),
    `invalid PID mode: ${host.pidMode}`,
  );
  refuseIf(!["", "host"].includes(host.utsMode), `invalid UTS mode: ${host.utsMode}`);
  refuseIf(
    !["", "host"].includes(host.usernsMode),
    `invalid user namespace mode: ${host.usernsMode}`,
  );
  refuseIf(
    !["", "private", "host"].includes(host.cgroupnsMode),
    `invalid cgroup namespace mode: ${host.cgroupnsMode}`,
  );
}

function validateCapabilities(what: string, names: readonly string[]): void {
  for (const name of names) {
    refuseIf(
      !knownCapability(name),
      `invalid ${what}: unknown capability: "${capabilityName(name)}"`,
    );
  }
}

/**
 * Checks driver and names of options once the default driver is filled in; the values that bound a
 * log are looked at when the container starts (log-rotation.ts).
 */
export function validateLogConfig(driver: string, options: Readonly<Record<string, string>>): void {
  if (driver === "none") return;
  refuseIf(
    !logDrivers.has(driver),
    `error looking up logging plugin ${driver}: plugin "${driver}" not found`,
  );
  for (const key of Object.keys(options)) {
    refuseIf(
      !rotationOptions.includes(key) && !attributeOptions.includes(key),
      driver === "local"
        ? `unknown log opt '${key}' for log driver ${driver}`
        : `unknown log opt '${key}' for ${driver} log driver`,
    );
  }
  validateLogMode(options);
}

function validateLogMode(options: Readonly<Record<string, string>>): void {
  const mode = options["mode"] ?? "";
  refuseIf(
    !["", "blocking", "non-blocking"].includes(mode),
    `logger: logging mode not supported: ${mode}`,
  );
  const buffer = options["max-buffer-size"];
  if (buffer === undefined) return;
  refuseIf(
    mode !== "non-blocking",
    "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
  );
  refuseIf(
    !/^\d+(\.\d+)? ?([bkmgtp]|[kmgtp]i?b)?$/i.test(buffer),
    `error parsing option max-buffer-size: invalid size: '${buffer}'`,
  );
}

function validateDeviceRule(rule: string): void {
  refuseIf(
    !/^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$/.test(rule),
    `invalid device cgroup rule format: '${rule}'`,
  );
}

const ulimitNames = new Set([
  "core",
  "cpu",
  "data",
  "fsize",
  "locks",
  "memlock",
  "msgqueue",
  "nice",
  "nofile",
  "nproc",
  "rss",
  "rtprio",
  "rttime",
  "sigpending",
  "stack",
  "as",
]);

function validateUlimit(
  name: string,
  limit: { readonly soft: bigint; readonly hard: bigint },
): void {
  refuseIf(!ulimitNames.has(name.toLowerCase()), `invalid ulimit type: ${name}`);
  refuseIf(
    limit.hard !== -1n && (limit.soft > limit.hard || limit.soft === -1n),
    `ulimit soft limit must be less than or equal to hard limit: ${String(limit.soft)} > ${String(limit.hard)}`,
  );
}

function refuseIf(condition: boolean, message: string): void {
  if (condition) throw invalidArgument(message);
}
