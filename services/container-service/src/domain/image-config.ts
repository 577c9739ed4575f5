/** The `config` of an OCI image: what it says, and how a container's own configuration goes over it. */
import path from "node:path";
import type { ContainerConfig, HealthConfig, StringList } from "./nouns.ts";

/** Members of an image's config that a container inherits. Durations are nanoseconds. */
export interface ImageConfig {
  readonly user: string;
  readonly exposedPorts: readonly string[];
  readonly env: readonly string[];
  readonly entrypoint: readonly string[] | undefined;
  readonly cmd: readonly string[] | undefined;
  readonly volumes: readonly string[];
  readonly workingDir: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly stopSignal: string;
  readonly healthcheck: ImageHealthcheck | undefined;
  readonly shell: readonly string[] | undefined;
}

export interface ImageHealthcheck {
  readonly test: readonly string[] | undefined;
  readonly intervalNs: bigint;
  readonly timeoutNs: bigint;
  readonly startPeriodNs: bigint;
  readonly startIntervalNs: bigint;
  readonly retries: number;
}

/** Reads a config blob. What has another form than the specification's is left out: images are foreign. */
export function parseImageConfig(json: Uint8Array): ImageConfig {
  const document =
    json.length === 0 ? {} : asRecord(JSON.parse(Buffer.from(json).toString("utf8")));
  const config = asRecord(document["config"]);
  return {
    user: asString(config["User"]),
    exposedPorts: Object.keys(asRecord(config["ExposedPorts"])),
    env: asStrings(config["Env"]) ?? [],
    entrypoint: asStrings(config["Entrypoint"]),
    cmd: asStrings(config["Cmd"]),
    volumes: Object.keys(asRecord(config["Volumes"])),
    workingDir: asString(config["WorkingDir"]),
    labels: stringMembers(asRecord(config["Labels"])),
    stopSignal: asString(config["StopSignal"]),
    healthcheck: parseHealthcheck(config["Healthcheck"]),
    shell: asStrings(config["Shell"]),
  };
}

function parseHealthcheck(value: unknown): ImageHealthcheck | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const health = asRecord(value);
  return {
    test: asStrings(health["Test"]),
    intervalNs: asNanoseconds(health["Interval"]),
    timeoutNs: asNanoseconds(health["Timeout"]),
    startPeriodNs: asNanoseconds(health["StartPeriod"]),
    startIntervalNs: asNanoseconds(health["StartInterval"]),
    retries: Number(asNanoseconds(health["Retries"])),
  };
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

function asString(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function asStrings(value: unknown): string[] | undefined {
  return Array.isArray(value) && value.every((each) => typeof each === "string")
    ? value
    : undefined;
}

function asNanoseconds(value: unknown): bigint {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? BigInt(value) : 0n;
}

function stringMembers(record: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(record).filter(
      (entry): entry is [string, string] => typeof entry[1] === "string",
    ),
  );
}

/** The members of a configuration that an image can fill. */
export type MergedConfig = Pick<
  ContainerConfig,
  | "user"
  | "exposedPorts"
  | "env"
  | "entrypoint"
  | "cmd"
  | "volumes"
  | "workingDir"
  | "labels"
  | "stopSignal"
  | "healthcheck"
  | "shell"
>;

/**
 * A container's configuration over its image's, by Docker's rules: the command of the image counts
 * only when the container names neither entry point nor command, its entry point only when the
 * container has none at all (an empty list is one).
 */
export function mergeImageConfig(own: ContainerConfig, image: ImageConfig): MergedConfig {
  const list = (values: readonly string[] | undefined): StringList | undefined =>
    values === undefined ? undefined : stringList(values);
  const bare = own.entrypoint === undefined && (own.cmd?.values.length ?? 0) === 0;
  return {
    user: own.user || image.user,
    exposedPorts: union(own.exposedPorts, image.exposedPorts.map(withProtocol)),
    env: mergeEnv(own.env, image.env),
    entrypoint: mergeEntrypoint(own.entrypoint, list(image.entrypoint)),
    cmd: bare ? list(image.cmd) : own.cmd,
    volumes: union(own.volumes, image.volumes),
    workingDir: cleanFolder(own.workingDir || image.workingDir),
    labels: { ...image.labels, ...own.labels },
    stopSignal: own.stopSignal || image.stopSignal,
    healthcheck: mergeHealthcheck(own.healthcheck, image.healthcheck),
    shell: own.shell ?? list(image.shell),
  };
}

/** Without dots and without a slash at the end. A relative one stays, to be refused. */
function cleanFolder(folder: string): string {
  return path.isAbsolute(folder) ? path.resolve(folder) : folder;
}

function stringList(values: readonly string[]): StringList {
  return { $typeName: "gantry.container.v1.StringList", values: [...values] };
}

/** `[""]` takes the image's entry point away. */
function mergeEntrypoint(
  own: StringList | undefined,
  image: StringList | undefined,
): StringList | undefined {
  if (own === undefined) return image;
  return own.values.length === 1 && own.values[0] === "" ? undefined : own;
}

function union(own: readonly string[], image: readonly string[]): string[] {
  return [...new Set([...own, ...image])].sort();
}

function withProtocol(port: string): string {
  return port.includes("/") ? port : `${port}/tcp`;
}

const nameOf = (variable: string): string => variable.split("=", 1)[0] ?? "";

/** The image's variables that are not set again, then the container's own. */
function mergeEnv(own: readonly string[], image: readonly string[]): string[] {
  const names = new Set(own.map(nameOf));
  return [...own, ...image.filter((variable) => !names.has(nameOf(variable)))];
}

function mergeHealthcheck(
  own: HealthConfig | undefined,
  image: ImageHealthcheck | undefined,
): HealthConfig | undefined {
  if (image === undefined) return own;
  const test = own?.test !== undefined && own.test.values.length > 0 ? own.test.values : image.test;
  return {
    $typeName: "gantry.container.v1.HealthConfig",
    ...(test === undefined ? {} : { test: stringList(test) }),
    intervalNs: own?.intervalNs || image.intervalNs,
    timeoutNs: own?.timeoutNs || image.timeoutNs,
    startPeriodNs: own?.startPeriodNs || image.startPeriodNs,
    startIntervalNs: own?.startIntervalNs || image.startIntervalNs,
    retries: own?.retries || image.retries,
  };
}

/** Program and arguments of a merged configuration. Undefined: there is no command. */
export function commandOf(
  config: Pick<ContainerConfig, "entrypoint" | "cmd">,
): { readonly path: string; readonly args: string[] } | undefined {
  const [path, ...args] = [...(config.entrypoint?.values ?? []), ...(config.cmd?.values ?? [])];
  return path === undefined ? undefined : { path, args };
}
