/** The long form of a mount, as in HostConfig.Mounts, to one record. Texts are Docker's. */
import path from "node:path/posix";
import { invalidArgument } from "@gantry/errors";
import {
  checkTarget,
  type Describe,
  defaultPropagation,
  isPropagation,
  type MountRules,
  type MountWish,
  plainWish,
  readOnlyMode,
} from "./mount-wish.ts";

/** A mount of HostConfig.Mounts. */
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
    noCopy: options?.noCopy ?? false,
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
