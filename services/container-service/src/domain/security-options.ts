/** `--security-opt`. */
import { internal } from "@gantry/errors";

/** What security options say, together. */
export interface SecurityOptions {
  readonly noNewPrivileges: boolean | undefined;
  /** `unconfined`, a profile's JSON, or undefined for the default. */
  readonly seccomp: string | undefined;
  /** A profile, `unconfined`, or undefined. */
  readonly apparmor: string | undefined;
  /** `systempaths=unconfined`: nothing masked or read-only. */
  readonly systemPathsUnconfined: boolean;
  /** `writable-cgroups`: /sys/fs/cgroup may be written without being privileged. */
  readonly writableCgroups: boolean | undefined;
}

/** Reads `key=value` (or `key:value`, an older form). What is unknown is `internal`, as with dockerd. */
export function parseSecurityOptions(options: readonly string[]): SecurityOptions {
  let result: SecurityOptions = {
    noNewPrivileges: undefined,
    seccomp: undefined,
    apparmor: undefined,
    systemPathsUnconfined: false,
    writableCgroups: undefined,
  };
  for (const option of options) result = { ...result, ...parseOption(option) };
  return result;
}

function parseOption(option: string): Partial<SecurityOptions> {
  if (option === "no-new-privileges") return { noNewPrivileges: true };
  if (option === "writable-cgroups") return { writableCgroups: true };
  if (option === "disable") return {};
  const at = option.includes("=") ? option.indexOf("=") : option.indexOf(":");
  if (at === -1) throw internal(`invalid --security-opt 1: "${option}"`);
  const value = option.slice(at + 1);
  switch (option.slice(0, at)) {
    case "label":
      return {};
    case "writable-cgroups":
      return { writableCgroups: parseBool(option, value) };
    case "apparmor":
      return { apparmor: value };
    case "seccomp":
      return { seccomp: value };
    case "no-new-privileges":
      return { noNewPrivileges: parseBool(option, value) };
    case "systempaths":
      if (value !== "unconfined") throw internal(`invalid --security-opt 2: "${option}"`);
      return { systemPathsUnconfined: true };
    default:
      throw internal(`invalid --security-opt 2: "${option}"`);
  }
}

function parseBool(option: string, value: string): boolean {
  if (/^([1tT]|true|TRUE|True)$/.test(value)) return true;
  if (/^([0fF]|false|FALSE|False)$/.test(value)) return false;
  throw internal(`invalid --security-opt 2: "${option}"`);
}
