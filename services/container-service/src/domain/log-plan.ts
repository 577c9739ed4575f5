/** Where a container's output is logged, from its log driver and options. */
import type { ContainerRecord } from "./container-record.ts";

/** As gantry.shim.v1.LogPlan. */
export interface LogPlan {
  readonly driver: string;
  readonly path: string;
  /** 0 = never rotated. */
  readonly maxSizeBytes: bigint;
  readonly maxFiles: number;
  readonly compress: boolean;
  /** JSON object, or empty. */
  readonly attrsJson: string;
}

/** Docker's defaults of the driver `local`: it is always bounded. */
const localMaxSizeBytes = 20_000_000n;
const localMaxFiles = 5;

export function logPlanOf(record: ContainerRecord, path: string): LogPlan {
  const driver = record.hostConfig.logConfig?.type ?? "json-file";
  const options = record.hostConfig.logConfig?.config ?? {};
  const isLocal = driver === "local";
  const attributes = logAttributes(record, options);
  return {
    driver,
    path: driver === "none" ? "" : path,
    maxSizeBytes: sizeBytes(options["max-size"]) ?? (isLocal ? localMaxSizeBytes : 0n),
    maxFiles: Number(options["max-file"] ?? (isLocal ? localMaxFiles : 1)),
    compress:
      options["compress"] === undefined ? isLocal : /^(1|t|true)$/i.test(options["compress"]),
    attrsJson: Object.keys(attributes).length === 0 ? "" : JSON.stringify(attributes),
  };
}

const units: Readonly<Record<string, bigint>> = {
  "": 1n,
  b: 1n,
  k: 1n << 10n,
  m: 1n << 20n,
  g: 1n << 30n,
  t: 1n << 40n,
  p: 1n << 50n,
};

/** `10m`: bytes; undefined for nothing and for -1 (no limit). Already checked. */
function sizeBytes(text: string | undefined): bigint | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]?)/i.exec(text ?? "");
  if (match === null) return undefined;
  const unit = units[(match[2] ?? "").toLowerCase()] ?? 1n;
  const [whole = "0", fraction = ""] = (match[1] ?? "0").split(".");
  const scale = 10n ** BigInt(fraction.length);
  return (BigInt(whole + fraction) * unit) / scale;
}

/** What log options put into each record: chosen labels and variables, and the tag. */
function logAttributes(
  record: ContainerRecord,
  options: Readonly<Record<string, string>>,
): Record<string, string> {
  const env = Object.fromEntries(
    record.config.env.map((variable) => {
      const at = variable.indexOf("=");
      return at === -1 ? [variable, ""] : [variable.slice(0, at), variable.slice(at + 1)];
    }),
  ) as Record<string, string>;
  return {
    ...chosen(record.config.labels, options["labels"], options["labels-regex"]),
    ...chosen(env, options["env"], options["env-regex"]),
    ...(options["tag"] === undefined ? {} : { tag: expandTag(record, options["tag"]) }),
  };
}

function chosen(
  from: Readonly<Record<string, string>>,
  names: string | undefined,
  pattern: string | undefined,
): Record<string, string> {
  const wanted = new Set((names ?? "").split(",").filter((name) => name !== ""));
  const expression = pattern === undefined ? undefined : safeRegExp(pattern);
  return Object.fromEntries(
    Object.entries(from).filter(([name]) => wanted.has(name) || expression?.test(name) === true),
  );
}

function safeRegExp(pattern: string): RegExp | undefined {
  try {
    return new RegExp(pattern);
  } catch {
    return undefined;
  }
}

/** The template fields that Docker documents. */
function expandTag(record: ContainerRecord, template: string): string {
  const values: Record<string, string> = {
    ID: record.id.slice(0, 12),
    FullID: record.id,
    Name: record.name,
    ImageID: record.image.id.replace(/^sha256:/, "").slice(0, 12),
    ImageFullID: record.image.id,
    ImageName: record.image.reference,
    DaemonName: "docker",
  };
  return template.replaceAll(/\{\{\s*\.(\w+)\s*\}\}/g, (all, name: string) => values[name] ?? all);
}
