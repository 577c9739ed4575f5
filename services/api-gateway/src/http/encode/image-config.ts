/** The config blob of an image → inspect's Config. The blob came from a registry: nothing of it is trusted. */
import { Fields } from "../decode/fields.ts";
import { type JsonValue, parseJson } from "../decode/json-value.ts";
import { type JsonOut, nullIfEmpty, sorted, unlessEmpty } from "./json.ts";
import { opened } from "./version-gates.ts";

/** What inspect shows of the blob. */
export interface ImageConfigView {
  readonly comment: string;
  readonly author: string;
  readonly dockerVersion: string;
  /** Its object `config`; empty when absent. */
  readonly config: Fields;
}

/** Reads the blob. One that can't be read shows as empty: the image is there and can be removed. */
export function parseImageConfig(bytes: Uint8Array): ImageConfigView {
  try {
    return readView(bytes);
  } catch {
    return { comment: "", author: "", dockerVersion: "", config: new Fields(new Map()) };
  }
}

function readView(bytes: Uint8Array): ImageConfigView {
  const value = bytes.length === 0 ? null : parseJson(Buffer.from(bytes).toString());
  const fields = new Fields(value instanceof Map ? value : new Map<string, JsonValue>());
  return {
    // That of the last step of the history, as an engine with a content store has it.
    comment: fields.objects("history").at(-1)?.text("comment") ?? fields.text("comment"),
    author: fields.text("author"),
    dockerVersion: fields.text("docker_version"),
    config: fields.object("config") ?? new Fields(new Map()),
  };
}

/** Encodes the config for a version: all fields of a container, or only those that images have. */
export function encodeImageConfig(config: Fields, version: number): JsonOut {
  if (opened("omitEmptyImageFields", version)) return terse(config);
  const ports = config.keys("ExposedPorts") ?? [];
  return {
    ...(!opened("imageConfigOnly", version) && containerFields(config)),
    User: config.text("User"),
    ExposedPorts: ports.length === 0 ? undefined : set(ports),
    Env: nullIfEmpty(config.texts("Env") ?? []),
    Cmd: nullIfEmpty(config.oneOrMoreTexts("Cmd") ?? []),
    Healthcheck: health(config),
    ArgsEscaped: config.flag("ArgsEscaped") || undefined,
    Volumes: setOrNull(config.keys("Volumes")),
    WorkingDir: config.text("WorkingDir"),
    Entrypoint: nullIfEmpty(config.oneOrMoreTexts("Entrypoint") ?? []),
    OnBuild: nullIfEmpty(config.texts("OnBuild") ?? []),
    Labels: labels(config) ?? null,
    StopSignal: unlessEmpty(config.text("StopSignal")),
    Shell: config.oneOrMoreTexts("Shell"),
  };
}

function terse(config: Fields): JsonOut {
  const some = <T>(list: readonly T[] | undefined): readonly T[] | undefined =>
    list === undefined || list.length === 0 ? undefined : list;
  return {
    User: unlessEmpty(config.text("User")),
    ExposedPorts: setOrNull(config.keys("ExposedPorts")) ?? undefined,
    Env: some(config.texts("Env")),
    Entrypoint: some(config.oneOrMoreTexts("Entrypoint")),
    Cmd: some(config.oneOrMoreTexts("Cmd")),
    Volumes: setOrNull(config.keys("Volumes")) ?? undefined,
    WorkingDir: unlessEmpty(config.text("WorkingDir")),
    Labels: labels(config),
    StopSignal: unlessEmpty(config.text("StopSignal")),
    ArgsEscaped: config.flag("ArgsEscaped") || undefined,
    Healthcheck: health(config),
    OnBuild: some(config.texts("OnBuild")),
    Shell: some(config.oneOrMoreTexts("Shell")),
  };
}

/** Fields that only containers have: zero in an image. */
function containerFields(config: Fields): Record<string, JsonOut> {
  return {
    Hostname: config.text("Hostname"),
    Domainname: config.text("Domainname"),
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    Image: config.text("Image"),
  };
}

const set = (keys: readonly string[]): JsonOut =>
  Object.fromEntries([...keys].sort().map((key) => [key, {}]));

const setOrNull = (keys: readonly string[] | undefined): JsonOut =>
  keys === undefined || keys.length === 0 ? null : set(keys);

function labels(config: Fields): Record<string, string> | undefined {
  const map = config.textMap("Labels");
  return map === undefined || Object.keys(map).length === 0 ? undefined : sorted(map);
}

function health(config: Fields): JsonOut {
  const fields = config.object("Healthcheck");
  if (fields === undefined) return undefined;
  const omitZero = (value: bigint): bigint | undefined => (value === 0n ? undefined : value);
  return {
    Test: fields.texts("Test"),
    Interval: omitZero(fields.integer("Interval")),
    Timeout: omitZero(fields.integer("Timeout")),
    StartPeriod: omitZero(fields.integer("StartPeriod")),
    StartInterval: omitZero(fields.integer("StartInterval")),
    Retries: omitZero(fields.integer("Retries")),
  };
}
