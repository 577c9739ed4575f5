/** The short notations of a mount, `source:target[:mode]` and its relatives, to one record. Texts are Docker's. */
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
  const shownAs = path.normalize(destination).replace(/(.)\/$/, "$1");
  return {
    ...plainWish("volume", checkTarget(path.resolve("/", destination), describe)),
    ...(shownAs.startsWith("/") ? {} : { shownAs }),
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
