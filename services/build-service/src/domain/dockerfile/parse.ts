/** From text to instructions. */
import type {
  CopyInstruction,
  HealthcheckInstruction,
  Instruction,
  RunInstruction,
} from "./instruction.ts";
import type { LogicalLine } from "./lexer.ts";
import { lexDockerfile } from "./lexer.ts";
import { nearest } from "./nearest.ts";
import { DockerfileSyntaxError, WordFormError } from "./syntax-error.ts";
import {
  parseCommand,
  parseGoDuration,
  parseJsonWords,
  parsePairs,
  splitWords,
  takeFlags,
} from "./words.ts";

/** A Dockerfile, parsed. */
export interface Dockerfile {
  readonly directives: ReadonlyMap<string, string>;
  readonly instructions: readonly Instruction[];
  /** Last lines of instructions that have an empty line among their continuations. */
  readonly emptyContinuations: readonly number[];
}

/** Parses a Dockerfile. Throws DockerfileSyntaxError with the lines of the instruction at fault. */
export function parseDockerfile(text: string): Dockerfile {
  const lexed = lexDockerfile(text);
  return {
    directives: lexed.directives,
    instructions: lexed.lines.map(parseInstruction),
    emptyContinuations: lexed.lines.flatMap(({ emptyContinuation }) => emptyContinuation ?? []),
  };
}

/** Parses one instruction, as for an ONBUILD trigger. Throws DockerfileSyntaxError. */
export function parseInstruction(line: LogicalLine): Instruction {
  const parser = parsers.get(line.keyword);
  if (parser === undefined)
    throw new DockerfileSyntaxError(unknownInstruction(line.keyword), line.lines);
  try {
    return parser(line);
  } catch (error) {
    if (error instanceof DockerfileSyntaxError || !(error instanceof Error)) throw error;
    const isForm = error instanceof WordFormError;
    throw new DockerfileSyntaxError(error.message, line.lines, { isForm });
  }
}

type Parser = (line: LogicalLine) => Instruction;

const parsers = new Map<string, Parser>([
  ["FROM", parseFrom],
  ["RUN", parseRun],
  ["COPY", parseCopy],
  ["ADD", parseCopy],
  ["ENV", parseEnvOrLabel],
  ["LABEL", parseEnvOrLabel],
  ["ARG", parseArg],
  ["WORKDIR", parseText],
  ["USER", parseText],
  ["STOPSIGNAL", parseText],
  ["MAINTAINER", parseText],
  ["VOLUME", parseWords],
  ["EXPOSE", parseWords],
  ["SHELL", parseShell],
  ["CMD", parseCommandInstruction],
  ["ENTRYPOINT", parseCommandInstruction],
  ["HEALTHCHECK", parseHealthcheck],
  ["ONBUILD", parseOnbuild],
]);

function unknownInstruction(keyword: string): string {
  const near = nearest(keyword, [...parsers.keys()]);
  return `unknown instruction: ${keyword}${near === undefined ? "" : ` (did you mean ${near}?)`}`;
}

function place(line: LogicalLine): Pick<Instruction, "lines" | "original" | "comments"> {
  return { lines: line.lines, original: line.original, comments: line.comments };
}

/** Flags by name; unknown and repeated ones are errors. */
function readFlags(
  line: LogicalLine,
  known: readonly string[],
  repeatable: readonly string[] = [],
): {
  one: (name: string) => string | undefined;
  all: (name: string) => string[];
  has: (name: string) => boolean;
  rest: string;
} {
  const { flags, rest } = takeFlags(line.rest);
  const values = new Map<string, (string | undefined)[]>();
  for (const { name, value } of flags) {
    if (!known.includes(name)) {
      const near = nearest(name, known);
      throw new Error(
        `unknown flag: --${name}${near === undefined ? "" : ` (did you mean ${near}?)`}`,
      );
    }
    const list = values.get(name) ?? [];
    if (list.length > 0 && !repeatable.includes(name))
      throw new Error(`duplicate flag specified: --${name}`);
    values.set(name, [...list, value]);
  }
  const one = (name: string): string | undefined => {
    const list = values.get(name);
    if (list === undefined) return undefined;
    const value = list[0];
    if (value === undefined) throw new Error(`missing a value on flag: --${name}`);
    return value;
  };
  const all = (name: string): string[] => (values.get(name) ?? []).map((value) => value ?? "");
  return { one, all, has: (name) => values.has(name), rest };
}

function booleanFlag(flags: ReturnType<typeof readFlags>, name: string): boolean | undefined {
  if (!flags.has(name)) return undefined;
  const value = flags.all(name)[0] ?? "";
  if (value === "" || value === "true") return true;
  if (value === "false") return false;
  throw new Error(`expecting boolean value for flag ${name}, not: ${value}`);
}

function parseFrom(line: LogicalLine): Instruction {
  const flags = readFlags(line, ["platform"]);
  const [image, as, name, ...more] = splitWords(flags.rest);
  if (
    image === undefined ||
    more.length > 0 ||
    (as !== undefined && (as.toUpperCase() !== "AS" || name === undefined))
  ) {
    throw new Error("FROM requires either one or three arguments");
  }
  const stage = name?.toLowerCase();
  if (stage !== undefined && !/^[a-z][a-z0-9-_.]*$/.test(stage)) {
    throw new Error(
      `invalid name for build stage: ${JSON.stringify(name)}, name can't start with a number or contain symbols`,
    );
  }
  return { kind: "FROM", ...place(line), image, platform: flags.one("platform"), as: stage };
}

const networks = ["default", "none", "host"];

function parseRun(line: LogicalLine): RunInstruction {
  const flags = readFlags(line, ["mount", "network", "security", "device"], ["mount", "device"]);
  if (flags.has("device")) throw new Error("RUN --device is not supported");
  const network = flags.one("network");
  if (network !== undefined && !networks.includes(network))
    throw new Error(`invalid network mode ${JSON.stringify(network)}`);
  return {
    kind: "RUN",
    ...place(line),
    command: parseCommand(flags.rest),
    mounts: flags.all("mount"),
    network,
    security: flags.one("security"),
    heredocs: line.heredocs,
  };
}

const copyFlags = ["from", "chown", "chmod", "link", "parents", "exclude"];
const addFlags = ["chown", "chmod", "link", "exclude", "checksum", "keep-git-dir", "unpack"];

function parseCopy(line: LogicalLine): CopyInstruction {
  const kind = line.keyword === "ADD" ? "ADD" : "COPY";
  const flags = readFlags(line, kind === "ADD" ? addFlags : copyFlags, ["exclude"]);
  const words = parseJsonWords(flags.rest) ?? splitWords(flags.rest);
  const destination = words.at(-1);
  if (destination === undefined || words.length < 2) {
    throw new Error(
      `${kind} requires at least two arguments, but only one was provided. Destination could not be determined`,
    );
  }
  return {
    kind,
    ...place(line),
    sources: words.slice(0, -1).filter((word) => !/^\d*<</.test(word)),
    destination,
    heredocs: line.heredocs,
    from: flags.one("from"),
    chown: flags.one("chown"),
    chmod: flags.one("chmod"),
    checksum: flags.one("checksum"),
    exclude: flags.all("exclude"),
    link: booleanFlag(flags, "link") ?? false,
    parents: booleanFlag(flags, "parents") ?? false,
    keepGitDir: booleanFlag(flags, "keep-git-dir") ?? false,
    unpack: booleanFlag(flags, "unpack"),
  };
}

function parseEnvOrLabel(line: LogicalLine): Instruction {
  const kind = line.keyword === "ENV" ? "ENV" : "LABEL";
  if (line.rest === "") throw new Error(`${kind} requires at least one argument`);
  return { kind, ...place(line), pairs: parsePairs(kind, line.rest) };
}

function parseArg(line: LogicalLine): Instruction {
  const words = splitWords(line.rest);
  if (words.length === 0) throw new Error("ARG requires at least one argument");
  const args = words.map((word) => {
    const equals = word.indexOf("=");
    const name = equals < 0 ? word : word.slice(0, equals);
    if (name === "") throw new Error("ARG names can not be blank");
    return { name, defaultValue: equals < 0 ? undefined : word.slice(equals + 1) };
  });
  return { kind: "ARG", ...place(line), args };
}

function parseText(line: LogicalLine): Instruction {
  const kind = line.keyword as "WORKDIR" | "USER" | "STOPSIGNAL" | "MAINTAINER";
  if (line.rest === "") throw new Error(`${kind} requires exactly one argument`);
  return { kind, ...place(line), text: line.rest };
}

function parseWords(line: LogicalLine): Instruction {
  const kind = line.keyword === "VOLUME" ? "VOLUME" : "EXPOSE";
  const words =
    (kind === "VOLUME" ? parseJsonWords(line.rest) : undefined) ?? splitWords(line.rest);
  if (words.length === 0) throw new Error(`${kind} requires at least one argument`);
  if (words.includes("")) throw new Error("VOLUME specified can not be an empty string");
  return { kind, ...place(line), words };
}

function parseShell(line: LogicalLine): Instruction {
  const words = parseJsonWords(line.rest);
  if (words === undefined) throw new Error("SHELL requires the arguments to be in JSON form");
  if (words.length === 0) throw new Error("SHELL requires at least one argument");
  return { kind: "SHELL", ...place(line), words };
}

function parseCommandInstruction(line: LogicalLine): Instruction {
  const kind = line.keyword === "CMD" ? "CMD" : "ENTRYPOINT";
  return { kind, ...place(line), command: parseCommand(line.rest) };
}

function parseHealthcheck(line: LogicalLine): HealthcheckInstruction {
  const flags = readFlags(line, [
    "interval",
    "timeout",
    "start-period",
    "start-interval",
    "retries",
  ]);
  const [, type = "", text = ""] = /^(\S*)\s*(.*)$/s.exec(flags.rest) ?? [];
  if (type === "") throw new Error("HEALTHCHECK requires at least one argument");
  const duration = (name: string): number => {
    const value = flags.one(name);
    if (value === undefined || value === "") return 0;
    const ns = parseGoDuration(value);
    if (ns !== 0 && ns < 1e6)
      throw new Error(`Interval ${JSON.stringify(name)} cannot be less than 1ms`);
    return ns;
  };
  const given = flags.one("retries") ?? "0";
  if (!/^[-+]?\d+$/.test(given))
    throw new Error(`strconv.ParseInt: parsing ${JSON.stringify(given)}: invalid syntax`);
  const retries = Number(given);
  if (retries < 0) throw new Error(`--retries cannot be negative (${String(retries)})`);
  const settings = {
    intervalNs: duration("interval"),
    timeoutNs: duration("timeout"),
    startPeriodNs: duration("start-period"),
    startIntervalNs: duration("start-interval"),
    retries,
  };
  switch (type.toUpperCase()) {
    case "NONE":
      if (text !== "") throw new Error("HEALTHCHECK NONE takes no arguments");
      return { kind: "HEALTHCHECK", ...place(line), command: undefined, ...settings };
    case "CMD":
      if (text === "") throw new Error("Missing command after HEALTHCHECK CMD");
      return { kind: "HEALTHCHECK", ...place(line), command: parseCommand(text), ...settings };
    default:
      throw new Error(`Unknown type ${JSON.stringify(type)} in HEALTHCHECK (try CMD)`);
  }
}

function parseOnbuild(line: LogicalLine): Instruction {
  if (line.rest === "") throw new Error("ONBUILD requires at least one argument");
  const keyword = (line.rest.split(/\s/)[0] ?? "").toUpperCase();
  if (keyword === "ONBUILD")
    throw new Error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (keyword === "MAINTAINER" || keyword === "FROM")
    throw new Error(`${keyword} isn't allowed as an ONBUILD trigger`);
  return { kind: "ONBUILD", ...place(line), trigger: line.rest };
}
