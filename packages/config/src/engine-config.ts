import { readFileSync } from "node:fs";
import path from "node:path";
import { hasErrno, invalidArgument } from "@gantry/errors";
import { readDaemonSettings } from "./daemon-file.ts";
import { isObject, type Problem } from "./json-reader.ts";
import type { DaemonSettings } from "./settings.ts";

/** Environment variables, as process.env has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The engine's processes that have a socket and data of their own. */
export type ServiceName = "api-gateway" | "image-service" | "container-service" | "build-service";

/** Where one service lives. */
export interface ServicePaths {
  /** gRPC. */
  readonly grpcSocket: string;
  /** Data plane. */
  readonly dataSocket: string;
  /** Durable: only this service writes here. */
  readonly dataDir: string;
  /** Gone after a reboot. */
  readonly runDir: string;
}

/** The whole configuration of an engine: the same for all its services. */
export interface EngineConfig
  extends Omit<DaemonSettings, "dataRoot" | "execRoot" | "cgroupParent" | "logLevel"> {
  /** GANTRY_DATA_ROOT, else `data-root`, else /var/lib/gantry. */
  readonly dataRoot: string;
  /** GANTRY_RUN_ROOT, else `exec-root`, else /run/gantry. */
  readonly runRoot: string;
  /** GANTRY_CONFIG, else /etc/gantry/daemon.json. It need not exist. */
  readonly configFile: string;
  /** Name of the cgroup below which everything of the engine lives. GANTRY_CGROUP_PARENT, else `gantry`. */
  readonly cgroupParent: string;
  /**
   * Tells engines on one machine apart: up to 4 letters or digits, by default empty.
   * GANTRY_INSTANCE. Part of link names and nft tables.
   */
  readonly instance: string;
  /** First letters of all links: `gtry` and the instance. */
  readonly linkPrefix: string;
  /** Name of our nft tables: `gantry`, with instance `gantry_<instance>`. */
  readonly nftTable: string;
  /** GANTRY_NATS_URL: somebody else's NATS. Undefined: the supervisor runs one; see readNatsUrl. */
  readonly externalNatsUrl: string | undefined;
  /** GANTRY_NATS_SERVER: the program that the supervisor runs, when it is in none of the usual places. */
  readonly natsServer: string | undefined;
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "fatal";
  /** Docker's API: docker.sock in the run root. */
  readonly dockerSocket: string;
}

/**
 * Reads environment and daemon.json. Throws invalid_argument with every problem listed, one a line.
 * @param env default: the process's environment.
 */
export function loadConfig(env: Environment = process.env): EngineConfig {
  const problems: Problem[] = [];
  const configFile = rooted(env, "GANTRY_CONFIG", problems) ?? "/etc/gantry/daemon.json";
  const settings = readDaemonSettings(readObject(configFile, problems), problems);
  const config = combine(env, configFile, settings, problems);
  if (problems.length > 0) {
    const list = problems.map((problem) => `\n  ${problem}`).join("");
    throw invalidArgument(`configuration is wrong (${configFile} and environment):${list}`);
  }
  return config;
}

function combine(
  env: Environment,
  configFile: string,
  settings: DaemonSettings,
  problems: Problem[],
): EngineConfig {
  const dataRoot = rooted(env, "GANTRY_DATA_ROOT", problems) ?? settings.dataRoot;
  const runRoot = rooted(env, "GANTRY_RUN_ROOT", problems) ?? settings.execRoot ?? "/run/gantry";
  const instance = matching(env, "GANTRY_INSTANCE", /^[a-z0-9]{1,4}$/, problems) ?? "";
  const cgroupName = /^[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+)*$/;
  const cgroupParent = matching(env, "GANTRY_CGROUP_PARENT", cgroupName, problems);
  return {
    ...settings,
    proxies: {
      http: settings.proxies.http || proxyVariable(env, "HTTP_PROXY"),
      https: settings.proxies.https || proxyVariable(env, "HTTPS_PROXY"),
      none: settings.proxies.none || proxyVariable(env, "NO_PROXY"),
    },
    dataRoot: dataRoot ?? "/var/lib/gantry",
    runRoot,
    configFile,
    cgroupParent: cgroupParent ?? settings.cgroupParent ?? "gantry",
    instance,
    linkPrefix: `gtry${instance}`,
    nftTable: instance === "" ? "gantry" : `gantry_${instance}`,
    externalNatsUrl: matching(env, "GANTRY_NATS_URL", /^(nats|tls|ws|wss):\/\/.+/, problems),
    natsServer: rooted(env, "GANTRY_NATS_SERVER", problems),
    logLevel: readLogLevel(env, settings, problems),
    dockerSocket: path.join(runRoot, "docker.sock"),
  };
}

/** A variable that is set and not empty. */
function variable(env: Environment, name: string): string | undefined {
  const value = env[name];
  return value === undefined || value === "" ? undefined : value;
}

/** Programs have always looked for these in either case. */
function proxyVariable(env: Environment, name: string): string {
  return variable(env, name) ?? variable(env, name.toLowerCase()) ?? "";
}

function rooted(env: Environment, name: string, problems: Problem[]): string | undefined {
  const value = variable(env, name);
  if (value === undefined || path.isAbsolute(value)) return value;
  problems.push(`${name}: must be an absolute path`);
  return undefined;
}

function matching(
  env: Environment,
  name: string,
  form: RegExp,
  problems: Problem[],
): string | undefined {
  const value = variable(env, name);
  if (value === undefined || form.test(value)) return value;
  problems.push(`${name}: ${JSON.stringify(value)} does not match ${form.source}`);
  return undefined;
}

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal"] as const;

function readLogLevel(
  env: Environment,
  settings: DaemonSettings,
  problems: Problem[],
): EngineConfig["logLevel"] {
  const word = variable(env, "GANTRY_LOG_LEVEL");
  const level = logLevels.find((each) => each === word);
  if (word !== undefined && level === undefined) {
    problems.push(`GANTRY_LOG_LEVEL: must be one of ${logLevels.join(", ")}`);
  }
  return level ?? settings.logLevel ?? (settings.debug ? "debug" : "info");
}

function readObject(file: string, problems: Problem[]): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (isObject(value)) return value;
    problems.push(`${file}: must hold a JSON object`);
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return {};
    problems.push(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
  return {};
}

/** Where a service of this engine lives. */
export function servicePaths(
  config: Pick<EngineConfig, "dataRoot" | "runRoot">,
  name: ServiceName,
): ServicePaths {
  return {
    grpcSocket: path.join(config.runRoot, `${name}.sock`),
    dataSocket: path.join(config.runRoot, `${name}.data.sock`),
    dataDir: path.join(config.dataRoot, name),
    runDir: path.join(config.runRoot, name),
  };
}

/** Where a service that is started when it is wanted can be asked for. */
export function wakeSocketPath(config: Pick<EngineConfig, "runRoot">, name: string): string {
  return path.join(config.runRoot, `${name}.wake.sock`);
}

/**
 * The NATS URL to use now: the external one, else what the supervisor wrote to `nats.url` in the run
 * root. Undefined while there is none. Ask again at every connection attempt: it may have changed.
 */
export function readNatsUrl(
  config: Pick<EngineConfig, "externalNatsUrl" | "runRoot">,
): string | undefined {
  if (config.externalNatsUrl !== undefined) return config.externalNatsUrl;
  try {
    return readFileSync(path.join(config.runRoot, "nats.url"), "utf8").trim() || undefined;
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
