/** The attributes that clients send for the Dockerfile frontend, as a request to the builder. */
import { invalidArgument } from "@gantry/errors";
import { type Platform, parsePlatform } from "@gantry/oci";
import type { BuildRequest, RunLimits } from "../../ports/build.ts";
import { codes, jsonDetail, WireFailure } from "../wire/failure.ts";
import { csvFields } from "./csv.ts";

/** Attributes by name. */
export type Attributes = Readonly<Record<string, string>>;

/** Everything that a solve by the Dockerfile frontend asks for. */
export interface FrontendOptions {
  readonly request: BuildRequest;
  /** Base name of the Dockerfile. */
  readonly filename: string;
  /** Remote context: URL, or `http://buildkit-session/<id>` for an upload; empty: local. */
  readonly remoteContext: string;
  /** Folder in a remote context. */
  readonly contextFolder: string;
  /** Names of the client's directories. */
  readonly contextKey: string;
  readonly dockerfileKey: string;
  /** The Dockerfile is in the client's directory though the context is remote. */
  readonly dockerfileIsLocal: boolean;
  /** `context:<name>` attributes. */
  readonly namedContexts: ReadonlyMap<string, string>;
  /** More than one result, or one that is to look like it. */
  readonly multiPlatform: boolean;
  /** Parameters of `attest:provenance`, `attest:sbom`; undefined: not wanted. */
  readonly provenance: ReadonlyMap<string, string> | undefined;
  readonly sbom: ReadonlyMap<string, string> | undefined;
  /** Other sessions to read a directory from, by its name. */
  readonly localSessions: ReadonlyMap<string, string>;
  /** Shared key hints of named directories. */
  readonly sharedKeys: ReadonlyMap<string, string>;
}

/** Name of the host in steps, as BuildKit has it. */
const sandboxHostname = "buildkitsandbox";

const knownCaps = new Set([
  "moby.buildkit.frontend.contexts",
  "moby.buildkit.frontend.inputs",
  "moby.buildkit.frontend.subrequests",
  "moby.buildkit.frontend.gitquerystring",
]);

/** Reads the attributes. Throws a failure for what the frontend can't do, invalid_argument for bad values. */
export function readFrontendOptions(
  id: string,
  attrs: Attributes,
  entitlements: readonly string[],
): FrontendOptions {
  refuseUnknown(attrs);
  const platforms = csvFields(attrs["platform"] ?? "").map((each) => parsePlatform(each.trim()));
  const buildArgs = withPrefix(attrs, "build-arg:");
  return {
    request: requestOf(id, attrs, { platforms, buildArgs, entitlements }),
    filename: attrs["filename"] || "Dockerfile",
    remoteContext: attrs["context"] ?? "",
    contextFolder: attrs["contextsubdir"] ?? "",
    contextKey: attrs["contextkey"] || "context",
    dockerfileKey: attrs["dockerfilekey"] || "dockerfile",
    dockerfileIsLocal: attrs["dockerfilekey"] !== undefined,
    namedContexts: withPrefix(attrs, "context:"),
    multiPlatform: platforms.length > 1 || isTrue(attrs["multi-platform"]),
    provenance: attestation(attrs, "provenance"),
    sbom: attestation(attrs, "sbom"),
    localSessions: withPrefix(attrs, "local-sessionid:"),
    sharedKeys: withPrefix(attrs, "sharedkey:localdir:"),
  };
}

interface Read {
  readonly platforms: readonly Platform[];
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly entitlements: readonly string[];
}

function requestOf(id: string, attrs: Attributes, read: Read): BuildRequest {
  const noCache = attrs["no-cache"];
  return {
    id,
    target: attrs["target"] ?? "",
    buildArgs: read.buildArgs,
    labels: withPrefix(attrs, "label:"),
    platforms: read.platforms,
    noCache: noCache === "",
    noCacheStages: csvFields(noCache ?? "").map((each) => each.trim().toLowerCase()),
    pull: attrs["image-resolve-mode"] === "pull",
    networkMode: networkMode(attrs["force-network-mode"] ?? ""),
    entitlements: read.entitlements,
    extraHosts: extraHosts(attrs["add-hosts"] ?? ""),
    hostname: attrs["hostname"] ?? "",
    defaultHostname: sandboxHostname,
    limits: limitsOf(attrs),
    cacheMountNamespace: read.buildArgs.get("BUILDKIT_CACHE_MOUNT_NS") ?? "",
    sourceDateEpoch: epochOf(read.buildArgs.get("SOURCE_DATE_EPOCH")),
    leave: "none",
    order: "parallel",
  };
}

function refuseUnknown(attrs: Attributes): void {
  for (const word of csvFields(attrs["frontend.caps"] ?? "")) {
    const cap = word.replace(/\+forward$/, "");
    if (knownCaps.has(cap)) continue;
    throw new WireFailure(codes.unimplemented, `unsupported frontend capability ${cap}`, [
      jsonDetail("errdefs.FrontendCap+json", { name: cap }),
    ]);
  }
}

function withPrefix(attrs: Attributes, prefix: string): Map<string, string> {
  return new Map(
    Object.entries(attrs)
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, value]) => [key.slice(prefix.length), value]),
  );
}

const isTrue = (text: string | undefined): boolean => /^(1|t|true)$/i.test(text ?? "");

function attestation(attrs: Attributes, kind: string): Map<string, string> | undefined {
  const text = attrs[`attest:${kind}`] ?? attrs[`build-arg:BUILDKIT_ATTEST_${kind.toUpperCase()}`];
  if (text === undefined) return undefined;
  const fields = new Map(
    csvFields(text).map((field) => {
      const [key = "", ...rest] = field.split("=");
      return [key, rest.join("=")];
    }),
  );
  if (fields.has("false") || isFalse(fields.get("disabled"))) return undefined;
  return fields.get("disabled") === "true" ? undefined : fields;
}

const isFalse = (text: string | undefined): boolean => text === "";

function networkMode(text: string): string {
  if (["", "default", "none", "host", "sandbox"].includes(text)) {
    return text === "sandbox" ? "" : text;
  }
  throw invalidArgument(`invalid network mode ${JSON.stringify(text)}`);
}

function extraHosts(text: string): string[] {
  return csvFields(text).map((field) => {
    const [host = "", ...address] = field.split("=");
    if (host === "" || address.length === 0) {
      throw invalidArgument(`invalid key-value pair ${field}`);
    }
    return `${host.toLowerCase()}:${address.join("=")}`;
  });
}

function limitsOf(attrs: Attributes): RunLimits {
  const number = (key: string): number => {
    const text = attrs[key];
    if (text === undefined || text === "") return 0;
    const value = Number(text);
    if (!Number.isSafeInteger(value)) throw invalidArgument(`${key}: invalid number ${text}`);
    return value;
  };
  return {
    memoryBytes: number("memory"),
    memorySwapBytes: number("memswap"),
    cpuShares: number("cpushares"),
    cpuPeriodUs: number("cpuperiod"),
    cpuQuotaUs: number("cpuquota"),
    cpusetCpus: attrs["cpusetcpus"] ?? "",
    cpusetMems: attrs["cpusetmems"] ?? "",
    cgroupParent: attrs["cgroup-parent"] ?? "",
    shmSizeBytes: number("shm-size"),
    ulimits: csvFields(attrs["ulimit"] ?? "").map(ulimitOf),
  };
}

function ulimitOf(field: string): RunLimits["ulimits"][number] {
  const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(field);
  if (match === null) throw invalidArgument(`invalid ulimit argument: ${field}`);
  const [, name = "", soft = "", hard = soft] = match;
  return { name, soft: Number(soft), hard: Number(hard) };
}

/** Only numbers; a name of a context or stage is not a time. */
function epochOf(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  throw invalidArgument(`invalid SOURCE_DATE_EPOCH: ${text}`);
}
