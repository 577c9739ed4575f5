/** The process's surroundings: the clean environment of children, the group of sockets, signals. */
import { readFileSync } from "node:fs";
import { hasErrno } from "@gantry/errors";
import { type EngineConfig, type Environment, loadConfig } from "./engine-config.ts";

/**
 * The whole environment of a child process of ours. Nothing else is passed on: NODE_EXTRA_CA_CERTS
 * alone costs 40 ms per Node start. SSL_CERT_FILE stays, for registries behind a private authority.
 */
export function cleanEnvironment(env: Environment = process.env): Record<string, string> {
  const kept = Object.entries(env).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && (entry[0].startsWith("GANTRY_") || passedOn.has(entry[0])),
  );
  return {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: "/root",
    LANG: "C.UTF-8",
    ...Object.fromEntries(kept),
  };
}

const passedOn = new Set([
  "PATH",
  "HOME",
  "TZ",
  "SSL_CERT_FILE",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
  "http_proxy",
  "https_proxy",
  "no_proxy",
]);

/** cleanEnvironment plus this engine's roots, so that a child sees exactly this engine. */
export function engineEnvironment(
  config: EngineConfig,
  env: Environment = process.env,
): Record<string, string> {
  return {
    ...cleanEnvironment(env),
    GANTRY_DATA_ROOT: config.dataRoot,
    GANTRY_RUN_ROOT: config.runRoot,
    GANTRY_CONFIG: config.configFile,
    GANTRY_CGROUP_PARENT: config.cgroupParent,
    ...(config.instance !== "" && { GANTRY_INSTANCE: config.instance }),
    ...(config.externalNatsUrl !== undefined && { GANTRY_NATS_URL: config.externalNatsUrl }),
  };
}

/**
 * Access rights of the engine's sockets: 0660 for the configured group (`docker`) where it exists,
 * else 0600.
 */
export function socketAccess(
  config: Pick<EngineConfig, "group">,
  groupFile = "/etc/group",
): { readonly mode: number; readonly gid?: number } {
  const gid = groupId(config.group, groupFile);
  return gid === undefined ? { mode: 0o600 } : { mode: 0o660, gid };
}

function groupId(name: string, groupFile: string): number | undefined {
  if (/^\d+$/.test(name)) return Number(name);
  const line = readLines(groupFile).find((each) => each.startsWith(`${name}:`));
  const field = line?.split(":")[2];
  return field === undefined ? undefined : Number(field);
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n");
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return [];
    throw error;
  }
}

/**
 * Sets the umask that Docker's daemon has, whatever that of who started us is: users of containers read what is made
 * for them (volumes, hosts files, working directories). What nobody else may read is made with a mode that says so.
 */
export function takeUsualUmask(): void {
  process.umask(0o022);
}

/** Resolves with the first signal that asks the process to end. Later ones change nothing. */
export function untilTerminated(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, resolve);
  });
}

/** Told about a reload. */
export interface ReloadHandlers {
  /** The new configuration, already checked. */
  readonly onConfig: (config: EngineConfig) => void;
  /** The file is wrong: the old configuration stays. */
  readonly onProblem: (error: unknown) => void;
}

/** Reads the configuration again at each SIGHUP. Dispose to stop listening. */
export function onReload(handlers: ReloadHandlers): Disposable {
  const listener = (): void => {
    try {
      handlers.onConfig(loadConfig());
    } catch (error) {
      handlers.onProblem(error);
    }
  };
  process.on("SIGHUP", listener);
  return {
    [Symbol.dispose]() {
      process.off("SIGHUP", listener);
    },
  };
}

/** First descriptor that systemd hands to a service it started for a socket; undefined: none. */
export function activationDescriptor(env: Environment = process.env): number | undefined {
  return env["LISTEN_FDS"] === "1" && env["LISTEN_PID"] === String(process.pid) ? 3 : undefined;
}
