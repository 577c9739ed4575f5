/** Values of RUN --mount. */
import { BuildFailure } from "../build-failure.ts";
import { goQuote } from "../dockerfile/go-quote.ts";
import { mountWords } from "../dockerfile/mount-words.ts";
import { didYouMean } from "../dockerfile/nearest.ts";

const types = ["bind", "cache", "tmpfs", "secret", "ssh"] as const;
const sharings = ["shared", "private", "locked"] as const;

/** A mount as written, checked but not bound to stages. */
export interface MountFlag {
  readonly type: (typeof types)[number];
  readonly from: string;
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
  readonly id: string;
  readonly sharing: (typeof sharings)[number];
  readonly required: boolean;
  readonly sizeBytes: number;
  readonly mode: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly env: string;
}

/** What the fields read so far say; of what is absent nothing was said. */
type Fields = { -readonly [Key in keyof MountFlag]?: MountFlag[Key] } & {
  type: MountFlag["type"];
};

const keys = [
  ...["type", "from", "source", "target", "readonly", "id", "sharing", "required"],
  ...["size", "mode", "uid", "gid", "src", "dst", "destination", "ro", "rw", "readwrite", "env"],
];

/** Parses one value; variables are expanded by `expand`. Throws BuildFailure. */
export function parseMount(text: string, expand: (word: string) => string): MountFlag {
  const fields: Fields = { type: "bind" };
  for (const field of mountWords(text)) {
    const equals = field.indexOf("=");
    const key = (equals < 0 ? field : field.slice(0, equals)).toLowerCase();
    if (equals >= 0) take(fields, key, expand(field.slice(equals + 1)), field);
    else takeBare(fields, key, field);
  }
  return checked(fields);
}

function takeBare(fields: Fields, key: string, field: string): void {
  if (!["readonly", "ro", "readwrite", "rw", "required"].includes(key))
    throw new BuildFailure(`invalid field '${field}' must be a key=value pair`);
  take(fields, key, "true", field);
}

function take(fields: Fields, key: string, value: string, field: string): void {
  switch (key) {
    case "type":
      fields.type = oneOf(types, value, "mount type");
      break;
    case "sharing":
      fields.sharing = oneOf(sharings, value, "sharing value");
      break;
    case "from":
    case "id":
    case "env":
      fields[key] = value;
      break;
    case "source":
    case "src":
      fields.source = value;
      break;
    case "target":
    case "dst":
    case "destination":
      fields.target = value;
      break;
    case "mode":
      fields.mode = number(key, value, 8);
      break;
    case "uid":
    case "gid":
      fields[key] = number(key, value, 10);
      break;
    default:
      takeOption(fields, key, value, field);
  }
}

function takeOption(fields: Fields, key: string, value: string, field: string): void {
  switch (key) {
    case "readonly":
    case "ro":
      fields.readOnly = truth(key, value);
      break;
    case "readwrite":
    case "rw":
      fields.readOnly = !truth(key, value);
      break;
    case "required":
      onlyFor(["secret", "ssh"], fields, key);
      fields.required = truth(key, value);
      break;
    case "size":
      onlyFor(["tmpfs"], fields, key);
      fields.sizeBytes = size(value);
      break;
    default:
      throw new BuildFailure(`unexpected key '${key}' in '${field}'${didYouMean(key, keys)}`);
  }
}

/** What the type was when the key came counts. */
function onlyFor(allowed: readonly string[], { type }: Fields, key: string): void {
  if (!allowed.includes(type))
    throw new BuildFailure(`unexpected key '${key}' for mount type '${type}'`);
}

function oneOf<T extends string>(allowed: readonly T[], value: string, what: string): T {
  const found = allowed.find((each) => each === value.toLowerCase());
  if (found !== undefined) return found;
  throw new BuildFailure(`unsupported ${what} ${goQuote(value)}${didYouMean(value, allowed)}`);
}

function checked(fields: Fields): MountFlag {
  const { type, from = "", source = "", target = "", id = "" } = fields;
  if (type === "bind" || type === "tmpfs") {
    for (const key of ["mode", "uid", "gid"] as const) {
      if (fields[key] !== undefined)
        throw new BuildFailure(`${key} not allowed for ${goQuote(type)} type mounts`);
    }
  }
  if (type === "secret") checkSecret(fields);
  if (fields.sharing !== undefined && type !== "cache")
    throw new BuildFailure(`invalid cache sharing set for ${type} mount`);
  return {
    ...{ type, from, source, target, id, env: fields.env ?? "" },
    readOnly: fields.readOnly ?? (type !== "cache" && type !== "tmpfs"),
    sharing: fields.sharing ?? "shared",
    required: fields.required ?? false,
    sizeBytes: fields.sizeBytes ?? 0,
    ...{ mode: fields.mode, uid: fields.uid, gid: fields.gid },
  };
}

function checkSecret({ from = "", source = "", target = "", id = "", sharing }: Fields): void {
  if (from !== "") throw new BuildFailure("secret mount should not have a from");
  if (sharing !== undefined) throw new BuildFailure("secret mount should not define sharing");
  if (source === "" && target === "" && id === "")
    throw new BuildFailure("invalid secret mount. one of source, target required");
  if (source !== "" && id !== "") throw new BuildFailure("both source and id can't be set");
}

function truth(key: string, value: string): boolean {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(value)) return true;
  if (["0", "f", "F", "FALSE", "false", "False"].includes(value)) return false;
  throw new BuildFailure(`invalid value for ${key}: ${value}`);
}

function number(key: string, value: string, base: number): number {
  const parsed = Number.parseInt(value, base);
  const form = base === 8 ? /^[0-7]+$/ : /^\d+$/;
  if (!form.test(value) || parsed > 0xffff_ffff)
    throw new BuildFailure(`invalid value ${value} for ${key}`);
  return parsed;
}

const sizeUnits = ["b", "k", "m", "g", "t"];

function size(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([bkmgt]?)(?:i?b)?$/i.exec(text);
  if (match === null) throw new BuildFailure(`invalid value for size: ${text}`);
  const unit = sizeUnits.indexOf((match[2] ?? "").toLowerCase());
  return Math.floor(Number(match[1]) * 1024 ** Math.max(unit, 0));
}
