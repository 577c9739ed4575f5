/** Docker's two notations of a mount, `source:target[:mode]` and the long form, to one record. Texts are Docker's. */
import path from "node:path/posix";
import { invalidArgument } from "@gantry/errors";
import type { MountRecord, MountType, ReadOnlyMode } from "./records.ts";

/** Rules that depend on the caller's API version. */
export interface MountRules {
  /** Read-only binds are so recursively where the kernel can (from 1.44 on). */
  readonly recursiveReadOnly: boolean;
  /** Options of any other mount type are an error (from 1.42 on), else of some only. */
  readonly strictOptions: boolean;
}

/** A mount as asked for; the volume of an empty name is yet to be made. */
export interface MountWish extends MountRecord {
  /** Don't fill the volume from the image. */
  readonly noCopy: boolean;
  /** For a volume made now. */
  readonly volumeLabels: Readonly<Record<string, string>>;
  readonly volumeOptions: Readonly<Record<string, string>>;
  /** The source must exist already. */
  readonly sourceMustExist: boolean;
  /** A volume of Config.Volumes: of the image, or asked for without a source. */
  readonly declared: boolean;
}

/** The long form. */
export interface LongMount {
  readonly type: string;
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
  readonly bindOptions?:
    | {
        readonly propagation: string;
        readonly nonRecursive: boolean;
        readonly createMountpoint: boolean;
        readonly readOnlyNonRecursive: boolean;
        readonly readOnlyForceRecursive: boolean;
      }
    | undefined;
  readonly volumeOptions?:
    | {
        readonly noCopy: boolean;
        readonly labels: Readonly<Record<string, string>>;
        readonly driverName: string;
        readonly driverOptions: Readonly<Record<string, string>>;
        readonly subpath: string;
      }
    | undefined;
  readonly tmpfsOptions?:
    | {
        readonly sizeBytes: bigint;
        readonly mode: number;
        readonly options: readonly { readonly values: readonly string[] }[];
      }
    | undefined;
  readonly imageOptions?: { readonly subpath: string } | undefined;
}

/** Puts a problem in the words of the place where it is. */
type Describe = (problem: string) => string;

const propagations = ["private", "rprivate", "shared", "rshared", "slave", "rslave"] as const;
const defaultPropagation = "rprivate";

function isPropagation(word: string): boolean {
  return (propagations as readonly string[]).includes(word);
}

/** A record with nothing special about it. */
export function plainWish(type: MountType, destination: string): MountWish {
  return {
    type,
    name: "",
    source: "",
    destination,
    driver: "",
    mode: "",
    rw: true,
    propagation: "",
    subpath: "",
    nonRecursive: false,
    readOnly: "shallow",
    createSource: false,
    tmpfsOptions: [],
    listed: true,
    anonymous: false,
    noCopy: false,
    volumeLabels: {},
    volumeOptions: {},
    sourceMustExist: false,
    declared: false,
  };
}

/** `source:target[:mode]`, or `target` alone for an anonymous volume. Errors: invalid_argument. */
export function parseBind(text: string, volumeDriver: string, rules: MountRules): MountWish {
  const parts = text.split(":");
  const [first = "", second = first, mode = ""] = parts;
  const wrong = `invalid volume specification: '${text}'`;
  if (parts.length > 3 || first === "" || second === "") throw invalidArgument(wrong);
  if (parts.length === 2 && parseModeWords(second) !== undefined) throw invalidArgument(wrong);
  const source = parts.length === 1 ? "" : first;
  const type = source.startsWith("/") ? "bind" : "volume";
  const words = parseModeWords(mode);
  if (words === undefined) throw invalidArgument(`invalid mode: ${mode}`);
  const describe: Describe = (problem) =>
    `${wrong}: invalid mount config for type "${type}": ${problem}`;
  const destination = checkTarget(second, describe);
  if (type === "bind" && words.copy !== undefined)
    throw invalidArgument(describe("field VolumeOptions must not be specified"));
  if (type === "volume" && words.propagation !== undefined)
    throw invalidArgument(describe("field BindOptions must not be specified"));
  const wish: MountWish = {
    ...plainWish(type, destination),
    rw: !words.readOnly,
    mode: mode === "" && type === "volume" ? "z" : mode,
    propagation: words.propagation ?? (type === "bind" ? defaultPropagation : ""),
    readOnly: readOnlyMode(rules, false, false),
  };
  if (type === "bind") {
    return {
      ...wish,
      isPropagationChosen: words.propagation === undefined,
      source: path.normalize(source).replace(/(.)\/$/, "$1"),
      createSource: true,
    };
  }
  return {
    ...wish,
    name: source,
    driver: volumeDriver || "local",
    noCopy: words.copy === "nocopy",
  };
}

interface ModeWords {
  readonly readOnly: boolean;
  readonly propagation: string | undefined;
  readonly copy: string | undefined;
}

/** Undefined: not a mode. Each kind of word may be there once. */
function parseModeWords(mode: string): ModeWords | undefined {
  const seen = new Map<string, string>();
  for (const word of mode === "" ? [] : mode.split(",")) {
    const kind = kindOfWord(word);
    if (kind === undefined || seen.has(kind)) return undefined;
    seen.set(kind, word);
  }
  return {
    readOnly: seen.get("access") === "ro",
    propagation: seen.get("propagation"),
    copy: seen.get("copy"),
  };
}

function kindOfWord(word: string): string | undefined {
  if (word === "ro" || word === "rw") return "access";
  if (word === "z" || word === "Z") return "label";
  if (isPropagation(word)) return "propagation";
  if (word === "nocopy") return "copy";
  return ["consistent", "cached", "delegated"].includes(word) ? "consistency" : undefined;
}

function readOnlyMode(rules: MountRules, shallow: boolean, force: boolean): ReadOnlyMode {
  if (force) return "deep";
  return shallow || !rules.recursiveReadOnly ? "shallow" : "deep-if-possible";
}

/** The cleaned path. Errors: invalid_argument. */
function checkTarget(target: string, describe: Describe): string {
  if (target === "") throw invalidArgument(describe("field Target must not be empty"));
  if (target.includes("\0")) throw invalidArgument(describe("invalid mount path"));
  if (!target.startsWith("/")) {
    throw invalidArgument(describe(`invalid mount path: '${target}' mount path must be absolute`));
  }
  const clean = path.normalize(target).replace(/(.)\/$/, "$1");
  if (clean === "/")
    throw invalidArgument(describe("invalid specification: destination can't be '/'"));
  return clean;
}

/** The long form. Errors: invalid_argument. */
export function parseMount(mount: LongMount, rules: MountRules): MountWish {
  const describe = (problem: string): string =>
    `invalid mount config for type "${mount.type}": ${problem}`;
  const destination = checkTarget(mount.target, describe);
  switch (mount.type) {
    case "bind":
      return parseBindMount(mount, destination, rules, describe);
    case "volume":
      return parseVolumeMount(mount, destination, rules, describe);
    case "tmpfs":
      return parseTmpfsMount(mount, destination, rules, describe);
    case "image":
      return parseImageMount(mount, destination, rules, describe);
    default:
      throw invalidArgument(describe("mount type unknown"));
  }
}

/** Options of another type that were an error before all of them were. */
const refusedEver: Readonly<Record<string, readonly string[]>> = {
  bind: ["VolumeOptions"],
  volume: ["BindOptions"],
  tmpfs: ["BindOptions"],
  image: ["BindOptions", "VolumeOptions"],
};

function checkOptions(mount: LongMount, rules: MountRules, describe: Describe): void {
  const options = [
    ["bind", "BindOptions", mount.bindOptions],
    ["volume", "VolumeOptions", mount.volumeOptions],
    ["tmpfs", "TmpfsOptions", mount.tmpfsOptions],
    ["image", "ImageOptions", mount.imageOptions],
  ] as const;
  for (const [type, field, value] of options) {
    if (type === mount.type || value === undefined) continue;
    if (rules.strictOptions && type !== "image")
      throw invalidArgument(`${field} must not be specified on mount type "${mount.type}"`);
    if (type === "image" || refusedEver[mount.type]?.includes(field) === true)
      throw invalidArgument(describe(`field ${field} must not be specified`));
  }
}

function parseBindMount(
  mount: LongMount,
  destination: string,
  rules: MountRules,
  describe: Describe,
): MountWish {
  if (mount.source === "") throw invalidArgument(describe("field Source must not be empty"));
  checkOptions(mount, rules, describe);
  const options = mount.bindOptions;
  const propagation = options?.propagation || defaultPropagation;
  if (!isPropagation(propagation)) {
    throw invalidArgument(describe(`invalid propagation mode: ${propagation}`));
  }
  if (!mount.source.startsWith("/")) {
    throw invalidArgument(
      describe(`invalid mount path: '${mount.source}' mount path must be absolute`),
    );
  }
  const createSource = options?.createMountpoint ?? false;
  return {
    ...plainWish("bind", destination),
    source: path.normalize(mount.source).replace(/(.)\/$/, "$1"),
    rw: !mount.readOnly,
    propagation,
    isPropagationChosen: options?.propagation === undefined || options.propagation === "",
    nonRecursive: options?.nonRecursive ?? false,
    readOnly: readOnlyMode(
      rules,
      (options?.readOnlyNonRecursive ?? false) || (options?.nonRecursive ?? false),
      options?.readOnlyForceRecursive ?? false,
    ),
    createSource,
    sourceMustExist: !createSource,
    ...(conflictOf(mount) === undefined ? {} : { conflict: conflictOf(mount) }),
  };
}

/** Options of a bind that are told only when the container starts. */
function conflictOf({ readOnly, bindOptions }: LongMount): string | undefined {
  if (bindOptions === undefined) return undefined;
  const { readOnlyNonRecursive, readOnlyForceRecursive } = bindOptions;
  if (!readOnly && readOnlyNonRecursive) return "!ReadOnly && BindOptions.ReadOnlyNonRecursive";
  if (!readOnly && readOnlyForceRecursive) return "!ReadOnly && BindOptions.ReadOnlyForceRecursive";
  return readOnlyNonRecursive && readOnlyForceRecursive
    ? "ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive"
    : undefined;
}

function parseVolumeMount(
  mount: LongMount,
  destination: string,
  rules: MountRules,
  describe: Describe,
): MountWish {
  checkOptions(mount, rules, describe);
  const options = mount.volumeOptions;
  if (mount.source === "" && (options?.subpath ?? "") !== "")
    throw invalidArgument(describe("must not set Subpath when using anonymous volumes"));
  const subpath = checkSubpath(options?.subpath ?? "", describe);
  if (mount.source === "" && mount.readOnly) {
    throw invalidArgument(describe("must not set ReadOnly mode when using anonymous volumes"));
  }
  return {
    ...plainWish("volume", destination),
    name: mount.source,
    driver: options?.driverName || "local",
    mode: "z",
    rw: !mount.readOnly,
    readOnly: readOnlyMode(rules, false, false),
    subpath,
    noCopy: (options?.noCopy ?? false) || subpath !== "",
    volumeLabels: options?.labels ?? {},
    volumeOptions: options?.driverOptions ?? {},
  };
}

/** Relative and inside. Errors: invalid_argument. */
function checkSubpath(subpath: string, describe: Describe): string {
  if (subpath === "") return "";
  const clean = path.normalize(subpath);
  if (
    subpath.startsWith("/") ||
    clean === ".." ||
    clean.startsWith("../") ||
    subpath.includes("\0")
  ) {
    throw invalidArgument(describe("subpath must be a relative path within the volume"));
  }
  return clean;
}

function parseTmpfsMount(
  mount: LongMount,
  destination: string,
  rules: MountRules,
  describe: Describe,
): MountWish {
  checkOptions(mount, rules, describe);
  if (mount.source !== "") throw invalidArgument(describe("field Source must not be specified"));
  return {
    ...plainWish("tmpfs", destination),
    rw: !mount.readOnly,
    tmpfsOptions: longTmpfsOptions(mount, describe),
  };
}

function longTmpfsOptions(mount: LongMount, describe: Describe): string[] {
  const words: string[] = [];
  const { sizeBytes = 0n, mode = 0, options = [] } = mount.tmpfsOptions ?? {};
  // A size that makes no sense is the kernel's to refuse.
  if (sizeBytes !== 0n) words.push(`size=${sizeBytes}`);
  if (mode > 0) words.push(`mode=${mode.toString(8)}`);
  for (const { values } of options) {
    if (values.length === 0 || values.length > 2) {
      throw invalidArgument(describe("invalid option array length"));
    }
    const [word = ""] = values;
    if (word !== "exec" && word !== "noexec")
      throw invalidArgument(describe(`invalid option: ${word}`));
    words.push(values.join("="));
  }
  if (mount.readOnly) words.push("ro");
  return words;
}

function parseImageMount(
  mount: LongMount,
  destination: string,
  rules: MountRules,
  describe: Describe,
): MountWish {
  checkOptions(mount, rules, describe);
  if (mount.source === "") throw invalidArgument(describe("field Source must not be empty"));
  return {
    ...plainWish("image", destination),
    name: mount.source,
    source: mount.source,
    rw: false,
    propagation: defaultPropagation,
    subpath: checkSubpath(mount.imageOptions?.subpath ?? "", describe),
  };
}

/** A destination of HostConfig.Tmpfs. Its options are looked at by a start only. Errors: invalid_argument. */
export function parseTmpfs(destination: string, options: string): MountWish {
  const words = options === "" ? [] : options.split(",");
  if (destination === "")
    throw invalidArgument("invalid mount path: '' mount path must be absolute");
  return {
    ...plainWish("tmpfs", checkTarget(destination, String)),
    rw: words.findLast((word) => word === "ro" || word === "rw") !== "ro",
    tmpfsOptions: words,
    listed: false,
  };
}

/**
 * A mount point of Config.Volumes. Some images have relative ones, even a list's text taken for a path:
 * they lie below the root. Errors: invalid_argument.
 */
export function parseAnonymous(destination: string, volumeDriver: string): MountWish {
  const describe: Describe = (problem) =>
    `invalid volume specification: '${destination}': ${problem}`;
  return {
    ...plainWish("volume", checkTarget(path.resolve("/", destination), describe)),
    declared: true,
    driver: volumeDriver || "local",
  };
}

/** `container[:ro|rw|z|Z]`. Errors: invalid_argument. */
export function parseVolumesFrom(text: string): { container: string; readOnly: boolean } {
  if (text === "") throw invalidArgument("volumes-from specification cannot be an empty string");
  const colon = text.indexOf(":");
  const container = colon < 0 ? text : text.slice(0, colon);
  const mode = colon < 0 ? "" : text.slice(colon + 1);
  if (container === "") throw invalidArgument('invalid name or ID supplied: ""');
  const words = parseModeWords(mode);
  if (words === undefined || words.propagation !== undefined || words.copy !== undefined) {
    throw invalidArgument(`invalid mode: ${mode}`);
  }
  return { container, readOnly: words.readOnly };
}
