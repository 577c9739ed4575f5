/** The query of POST /build → BuildRequest. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { internal, invalidArgument, isEngineError } from "@gantry/errors";
import type { BuildRequestSchema } from "@gantry/proto/build";
import type { Query } from "../query.ts";
import { Fields } from "./fields.ts";
import { given } from "./init.ts";
import { type JsonValue, parseJson } from "./json-value.ts";
import { parsePlatformText } from "./platform.ts";
import { decodeAuth, type RegistryAuthInit } from "./registry-auth.ts";

/** Message initialiser. */
export type BuildInit = MessageInitShape<typeof BuildRequestSchema>;

/** Throws invalid_argument. */
export function readBuildQuery(query: Query, registryConfig: string): BuildInit {
  refuseForeign(query);
  const remove = query.flag("rm", true);
  const buildkit = query.text("version") === "2";
  return given({
    buildkit,
    session: buildkit ? query.text("session") : "",
    outputs: buildkit ? outputs(query.text("outputs")) : [],
    cacheFrom: images(query.text("cachefrom")),
    buildId: query.text("buildid"),
    dockerfile: dockerfilePath(query.text("dockerfile")),
    remote: remoteUrl(query.text("remote"), buildkit),
    tags: query.all("t").filter((tag) => tag !== ""),
    quiet: query.flag("q"),
    noCache: query.flag("nocache"),
    pull: query.flag("pull"),
    remove,
    forceRemove: query.flag("forcerm"),
    buildArgs: buildArguments(query.text("buildargs")),
    labels: texts(query.text("labels"), "labels"),
    target: query.text("target"),
    platform: parsePlatformText(query.text("platform")),
    networkMode: query.text("networkmode"),
    extraHosts: query
      .all("extrahosts")
      .flatMap((each) => each.split(","))
      .filter(Boolean),
    limits: limits(query),
    registryAuth: registryAuth(registryConfig),
  });
}

/** What Docker has on Windows only. */
function refuseForeign(query: Query): void {
  const isolation = query.text("isolation");
  if (!["", "default"].includes(isolation.toLowerCase())) {
    throw invalidArgument(`unsupported isolation: ${JSON.stringify(isolation)}`);
  }
  if (query.text("securityopt") !== "") {
    throw invalidArgument("security options are not supported on linux");
  }
}

function dockerfilePath(path: string): string {
  const segments = path.split("/").filter((segment) => segment !== "" && segment !== ".");
  if (segments.includes("..")) {
    throw internal(`forbidden path outside the build context: ${path} ()`);
  }
  return segments.join("/");
}

/** Where the result goes, instead of into the engine's images. */
function outputs(text: string) {
  if (text === "") return [];
  const problem = "invalid outputs specified";
  const value = parseJson(text, { problem }) ?? [];
  if (!Array.isArray(value)) throw invalidArgument(`${problem}: expected a list`);
  if (value.length > 1) throw internal("multiple outputs not supported");
  return value.map((each) => {
    if (!(each instanceof Map)) throw invalidArgument(`${problem}: expected objects`);
    const fields = new Fields(each);
    return { type: fields.text("Type"), attrs: fields.textMap("Attrs") ?? {} };
  });
}

function images(text: string): string[] {
  const value = text === "" ? null : parseJson(text, { problem: "error reading cache-from" });
  if (value === null) return [];
  if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value;
  throw invalidArgument("error reading cache-from: expected a list of names");
}

/** Where old clients send the context by a request of its own. */
export const uploadRequest = "upload-request";

/** A session of BuildKit's is none of the classic builder's. */
function remoteUrl(remote: string, buildkit: boolean): string {
  // The context is the body of another request: for the builder, it comes with this one.
  if (remote === uploadRequest && buildkit) return "";
  if (remote === "client-session" && !buildkit) {
    throw invalidArgument(
      "experimental session with v1 builder is no longer supported, use builder version v2 (BuildKit) instead",
    );
  }
  return remote;
}

function object(text: string, name: string): ReadonlyMap<string, JsonValue> {
  if (text === "") return new Map();
  const value = parseJson(text, { problem: `error reading ${name}` });
  if (value === null) return new Map();
  if (value instanceof Map) return value;
  throw invalidArgument(`error reading ${name}: expected an object`);
}

function buildArguments(text: string) {
  return [...object(text, "build args")].map(([name, value]) => {
    if (value === null) return { name };
    if (typeof value === "string") return { name, value };
    throw invalidArgument(`error reading build args: ${name} is no string`);
  });
}

function texts(text: string, what: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of object(text, what)) {
    if (typeof value !== "string")
      throw invalidArgument(`error reading ${what}: ${name} is no string`);
    found[name] = value;
  }
  return found;
}

function limits(query: Query) {
  // As in Docker, what is no number counts as none.
  const number = (name: string): bigint =>
    /^[+-]?\d+$/.test(query.text(name)) ? BigInt(query.integer(name) ?? 0) : 0n;
  return {
    memoryBytes: number("memory"),
    memorySwapBytes: number("memswap"),
    cpuShares: number("cpushares"),
    cpuPeriodUs: number("cpuperiod"),
    cpuQuotaUs: number("cpuquota"),
    cpusetCpus: query.text("cpusetcpus"),
    cpusetMems: query.text("cpusetmems"),
    cgroupParent: query.text("cgroupparent"),
    shmSizeBytes: shmSize(query.text("shmsize")),
    ulimits: ulimits(query.text("ulimits")),
  };
}

/** The one number that has to be one. */
function shmSize(text: string): bigint {
  if (text === "") return 0n;
  const quoted = JSON.stringify(text);
  if (!/^[+-]?\d+$/.test(text)) {
    throw invalidArgument(`strconv.ParseInt: parsing ${quoted}: invalid syntax`);
  }
  const value = BigInt(text.replace("+", ""));
  if (value === BigInt.asIntN(64, value)) return value;
  throw invalidArgument(`strconv.ParseInt: parsing ${quoted}: value out of range`);
}

function ulimits(text: string) {
  if (text === "") return [];
  const value = parseJson(text, { problem: "error reading ulimit settings" });
  if (value === null) return [];
  if (!Array.isArray(value))
    throw invalidArgument("error reading ulimit settings: expected a list");
  return value.map((each) => {
    if (!(each instanceof Map))
      throw invalidArgument("error reading ulimit settings: expected objects");
    const fields = new Fields(each);
    return {
      name: fields.text("Name"),
      soft: fields.integer("Soft"),
      hard: fields.integer("Hard"),
    };
  });
}

/** The header X-Registry-Config. As in Docker, what can't be read counts as nothing. */
function registryAuth(header: string): Record<string, RegistryAuthInit> {
  if (header === "") return {};
  try {
    const value = parseJson(Buffer.from(header, "base64").toString());
    if (!(value instanceof Map)) return {};
    const entries = [...value].flatMap(([host, auth]): [string, RegistryAuthInit][] =>
      auth instanceof Map ? [[host, decodeAuth(new Fields(auth))]] : [],
    );
    return Object.fromEntries(entries);
  } catch (error) {
    if (isEngineError(error)) return {};
    throw error;
  }
}
