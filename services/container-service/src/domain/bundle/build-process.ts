/** `process` of the bundle, and of execs. */
import type { RuntimeProcess, RuntimeRlimit } from "@gantry/oci";
import { capabilityNames } from "@gantry/oci/capabilities";
import { chooseCapabilities } from "../capability-names.ts";
import type { ContainerRecord } from "../container-record.ts";
import type { SecurityOptions } from "../security-options.ts";
import type { BundleInput, RuntimeDefaults } from "./bundle-input.ts";

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Where the init program is put in the container. */
const initPath = "/sbin/docker-init";

/** The first process. */
export function buildProcess(input: BundleInput, security: SecurityOptions): RuntimeProcess {
  const { record, defaults } = input;
  const { config, hostConfig } = record;
  const command = [record.path, ...record.args];
  const size = { height: hostConfig.consoleHeight, width: hostConfig.consoleWidth };
  return {
    terminal: config.tty,
    ...(config.tty && size.height > 0 && size.width > 0 ? { consoleSize: size } : {}),
    user: { uid: 0, gid: 0 },
    args: input.init ? [initPath, "--", ...command] : command,
    env: processEnv(record, input.hostname, record.config.tty),
    cwd: config.workingDir || "/",
    capabilities: capabilitySets(capabilitiesFor(input)),
    rlimits: rlimits(record, defaults),
    noNewPrivileges: security.noNewPrivileges ?? defaults.noNewPrivileges,
    ...apparmor(hostConfig.privileged, defaults, security),
    oomScoreAdj: hostConfig.oomScoreAdj,
  };
}

/** What an exec asks for. */
export interface ExecProcess {
  readonly cmd: readonly string[];
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly tty: boolean;
  readonly privileged: boolean;
  readonly consoleHeight: number;
  readonly consoleWidth: number;
}

/** A further process in a container. */
export function buildExecProcess(
  record: ContainerRecord,
  exec: ExecProcess,
  defaults: RuntimeDefaults,
  security: SecurityOptions,
): RuntimeProcess {
  const size = { height: exec.consoleHeight, width: exec.consoleWidth };
  const base = processEnv(record, record.config.hostname, exec.tty);
  const capabilities =
    exec.privileged || record.hostConfig.privileged
      ? capabilityNames
      : ownCapabilities(record, defaults);
  return {
    terminal: exec.tty,
    ...(exec.tty && size.height > 0 && size.width > 0 ? { consoleSize: size } : {}),
    user: { uid: 0, gid: 0 },
    args: [...exec.cmd],
    env: overlay(base, exec.env),
    cwd: exec.workingDir || record.config.workingDir || "/",
    capabilities: capabilitySets(capabilities),
    rlimits: rlimits(record, defaults),
    noNewPrivileges: security.noNewPrivileges ?? defaults.noNewPrivileges,
    ...apparmor(exec.privileged || record.hostConfig.privileged, defaults, security),
    oomScoreAdj: record.hostConfig.oomScoreAdj,
  };
}

/** The profile that a container runs under, as inspect shows it; empty where there is no AppArmor. */
export function apparmorProfileOf(
  privileged: boolean,
  defaults: RuntimeDefaults,
  security: SecurityOptions,
): string {
  if (defaults.apparmorProfile === "") return "";
  return security.apparmor ?? (privileged ? "unconfined" : defaults.apparmorProfile);
}

function apparmor(
  privileged: boolean,
  defaults: RuntimeDefaults,
  security: SecurityOptions,
): Pick<RuntimeProcess, "apparmorProfile"> {
  const profile = apparmorProfileOf(privileged, defaults, security);
  return profile === "" || profile === "unconfined" ? {} : { apparmorProfile: profile };
}

function processEnv({ config }: ContainerRecord, hostname: string, tty: boolean): string[] {
  const base = [defaultPath, `HOSTNAME=${hostname}`, ...(tty ? ["TERM=xterm"] : [])];
  return overlay(base, config.env);
}

/** Sets variables in place, appends new ones, and takes away those that are named without value. */
function overlay(base: readonly string[], over: readonly string[]): string[] {
  const result = new Map(base.map((variable) => [variable.split("=", 1)[0] ?? "", variable]));
  for (const variable of over) {
    const name = variable.split("=", 1)[0] ?? "";
    if (variable.includes("=")) result.set(name, variable);
    else result.delete(name);
  }
  return [...result.values()];
}

/** Capabilities of the first process. */
export function capabilitiesFor(input: BundleInput): readonly string[] {
  return input.record.hostConfig.privileged
    ? capabilityNames
    : ownCapabilities(input.record, input.defaults);
}

function ownCapabilities(record: ContainerRecord, defaults: RuntimeDefaults): string[] {
  const { capAdd, capDrop } = record.hostConfig;
  return chooseCapabilities(defaults.capabilities, capAdd?.values ?? [], capDrop?.values ?? []);
}

/** Nothing is inheritable or ambient: a program that another user executes gains nothing (CVE-2022-24769). */
function capabilitySets(names: readonly string[]): NonNullable<RuntimeProcess["capabilities"]> {
  return { bounding: names, effective: names, permitted: names };
}

function rlimits(record: ContainerRecord, defaults: RuntimeDefaults): RuntimeRlimit[] {
  const limits = new Map(defaults.ulimits.map((each) => [each.name.toLowerCase(), each]));
  for (const each of record.hostConfig.resources?.ulimits ?? []) {
    limits.set(each.name.toLowerCase(), each);
  }
  return [...limits].map(([name, { soft, hard }]) => ({
    type: `RLIMIT_${name.toUpperCase()}`,
    soft: unsigned(soft),
    hard: unsigned(hard),
  }));
}

/** -1 is "no limit": the largest number. */
function unsigned(value: bigint): bigint {
  return value < 0n ? (1n << 64n) - 1n : value;
}
