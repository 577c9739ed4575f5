/** Values of RUN --mount. */
import { BuildFailure } from "../build-failure.ts";
import { nearest } from "../dockerfile/nearest.ts";

/** A mount as written, checked but not bound to stages. */
export interface MountFlag {
  readonly type: "bind" | "cache" | "tmpfs" | "secret" | "ssh";
  readonly from: string;
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean | undefined;
  readonly id: string;
  readonly sharing: "shared" | "private" | "locked";
  readonly required: boolean;
  readonly sizeBytes: number;
  readonly mode: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly env: string;
}

const types = ["bind", "cache", "tmpfs", "secret", "ssh"] as const;
const keys = [
  ...[
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
  ],
  ...["rw", "id", "sharing", "required", "size", "mode", "uid", "gid", "env"],
];

/** Parses one value; variables are expanded by `expand` (not those of `from`). Throws BuildFailure. */
export function parseMount(text: string, expand: (word: string) => string): MountFlag {
  const { type, given } = mountFields(text, expand);
  return checked(type, given);
}

/** The type and the other fields of a value: that there are such. Throws BuildFailure. */
export function mountFields(
  text: string,
  expand: (word: string) => string,
): { readonly type: MountFlag["type"]; readonly given: ReadonlyMap<string, string> } {
  const given = new Map<string, string>();
  for (const field of splitCsv(text)) {
    const equals = field.indexOf("=");
    const key = (equals < 0 ? field : field.slice(0, equals)).toLowerCase();
    if (!keys.includes(key)) {
      const near = nearest(key, keys);
      throw new BuildFailure(
        `unexpected key '${key}' in '${field}'${near === undefined ? "" : ` (did you mean ${near}?)`}`,
      );
    }
    const flagLike = ["readonly", "ro", "readwrite", "rw", "required"].includes(key);
    if (equals < 0 && !flagLike) {
      throw new BuildFailure(`invalid field '${field}' must be a key=value pair`);
    }
    const value = equals < 0 ? "true" : field.slice(equals + 1);
    given.set(alias(key), key === "from" ? value : expand(value));
  }
  const type = (given.get("type") ?? "bind").toLowerCase();
  if (!isType(type)) {
    const near = nearest(type, types);
    throw new BuildFailure(
      `unsupported mount type ${JSON.stringify(type)}${near === undefined ? "" : ` (did you mean ${near}?)`}`,
    );
  }
  return { type, given };
}

function alias(key: string): string {
  const names: Readonly<Record<string, string>> = {
    src: "source",
    dst: "target",
    destination: "target",
    ro: "readonly",
    rw: "readwrite",
  };
  return names[key] ?? key;
}

function isType(text: string): text is MountFlag["type"] {
  return (types as readonly string[]).includes(text);
}

function checked(type: MountFlag["type"], given: ReadonlyMap<string, string>): MountFlag {
  const sharing = given.get("sharing") ?? "shared";
  if (sharing !== "shared" && sharing !== "private" && sharing !== "locked") {
    throw new BuildFailure(`unsupported sharing value ${JSON.stringify(sharing)}`);
  }
  const target = given.get("target") ?? "";
  if (target === "" && (type === "bind" || type === "cache" || type === "tmpfs")) {
    throw new BuildFailure('invalid mount target "/"');
  }
  if (given.has("from") && type !== "bind" && type !== "cache") {
    throw new BuildFailure(`unexpected key 'from' for mount type '${type}'`);
  }
  const readOnly = flag(given, "readonly");
  const readWrite = flag(given, "readwrite");
  return {
    type,
    from: given.get("from") ?? "",
    source: given.get("source") ?? "",
    target,
    readOnly: readOnly ?? (readWrite === undefined ? undefined : !readWrite),
    id: given.get("id") ?? "",
    sharing,
    required: flag(given, "required") ?? false,
    sizeBytes: parseSize(given.get("size") ?? "0"),
    mode: number(given, "mode", 8),
    uid: number(given, "uid", 10),
    gid: number(given, "gid", 10),
    env: given.get("env") ?? "",
  };
}

function flag(given: ReadonlyMap<string, string>, key: string): boolean | undefined {
  const value = given.get(key);
  if (value === undefined) return undefined;
  if (/^(1|t|true)$/i.test(value)) return true;
  if (/^(0|f|false)$/i.test(value)) return false;
  throw new BuildFailure(`invalid value for ${key}: ${value}`);
}

function number(given: ReadonlyMap<string, string>, key: string, base: number): number | undefined {
  const value = given.get(key);
  if (value === undefined) return undefined;
  const form = base === 8 ? /^[0-7]{1,5}$/ : /^\d{1,10}$/;
  if (!form.test(value)) throw new BuildFailure(`invalid value ${value} for ${key}`);
  return Number.parseInt(value, base);
}

const sizeUnits = ["b", "k", "m", "g", "t"];

function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([bkmgt]?)(?:i?b)?$/i.exec(text);
  if (match === null) throw new BuildFailure(`invalid value for size: ${text}`);
  const unit = sizeUnits.indexOf((match[2] ?? "").toLowerCase());
  return Math.floor(Number(match[1]) * 1024 ** Math.max(unit, 0));
}

/** Fields at commas; a field in double quotes may hold some. */
function splitCsv(text: string): string[] {
  const fields: string[] = [];
  for (const match of text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) {
    fields.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? "");
  }
  return fields.filter((field) => field !== "");
}
