/** From text to instructions. */
import { readDirectives } from "./directives.ts";
import { type GivenFlags, type KnownFlags, readFlags } from "./flags.ts";
import { goQuote } from "./go-quote.ts";
import { heredocMark } from "./heredocs.ts";
import type { CopyInstruction, Instruction, RunInstruction } from "./instruction.ts";
import type { Heredoc, LogicalLine } from "./lexer.ts";
import { logicalLines } from "./lexer.ts";
import { mountFrom } from "./mount-words.ts";
import { didYouMean } from "./nearest.ts";
import { parseHealthcheck } from "./parse-healthcheck.ts";
import { DockerfileSyntaxError, WordFormError } from "./syntax-error.ts";
import {
  parseCommand,
  parseJsonWords,
  parsePairs,
  splitBlanks,
  splitInstruction,
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

/** Which flags there are: those of dockerd 28's own frontend, or those too that came with later ones. */
export type Grammar = "built in" | "later";

/** What a `# syntax=` asks for. */
export function grammarOf(syntax: string): Grammar {
  const [image = ""] = syntax.trim().split(/\s/);
  const minor = /:1\.(\d+)/.exec(image)?.[1];
  const isOlder = minor !== undefined && Number(minor) < firstLater && !image.includes("labs");
  return image === "" || isOlder ? "built in" : "later";
}

/** 1.20 has `RUN --security` and `COPY --parents` outside of the labs' channel. */
const firstLater = 20;

/**
 * Parses a Dockerfile. Throws DockerfileSyntaxError with the lines of the instruction at fault.
 * What is wrong with the form of any line counts before what is wrong with an instruction.
 */
export function parseDockerfile(text: string, grammar: Grammar = "built in"): Dockerfile {
  const instructions: Instruction[] = [];
  const emptyContinuations: number[] = [];
  let hasStage = false;
  let first: DockerfileSyntaxError | undefined;
  const read: LogicalLine[] = [];
  for (const line of logicalLines(text)) {
    if (first === undefined) read.push(line);
    if (line.emptyContinuation !== undefined) emptyContinuations.push(line.emptyContinuation);
    try {
      const instruction = parseInstruction(line, grammar);
      if (first === undefined) instructions.push(instruction);
      if (!hasStage && instruction.kind !== "FROM" && instruction.kind !== "ARG")
        first ??= new DockerfileSyntaxError("no build stage in current context", line.lines, {
          isBare: true,
        });
      hasStage ||= instruction.kind === "FROM";
    } catch (error) {
      if (!(error instanceof DockerfileSyntaxError) || error.isForm) throw error;
      first ??= error;
    }
  }
  if (first !== undefined) {
    first.parsed = { lines: read, emptyContinuations };
    throw first;
  }
  return { directives: readDirectives(text), instructions, emptyContinuations };
}

/** Parses one instruction, as for an ONBUILD trigger. Throws DockerfileSyntaxError. */
export function parseInstruction(line: LogicalLine, grammar: Grammar = "built in"): Instruction {
  const parser = parsers.get(line.keyword);
  if (parser === undefined) throw new DockerfileSyntaxError(unknownInstruction(line), line.lines);
  try {
    return parser({ ...line, ...takeFlags(line.rest), grammar });
  } catch (error) {
    if (error instanceof DockerfileSyntaxError || !(error instanceof Error)) throw error;
    const isForm = error instanceof WordFormError;
    throw new DockerfileSyntaxError(error.message, line.lines, { isForm });
  }
}

/** An instruction without its flags. */
interface Arguments extends LogicalLine {
  readonly flags: Parameters<typeof readFlags>[0];
  readonly grammar: Grammar;
}

type Parser = (line: Arguments) => Instruction;

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
  ["HEALTHCHECK", (line) => ({ ...place(line), ...parseHealthcheck(line) })],
  ["ONBUILD", parseOnbuild],
]);

/** What may have been meant is told in upper case where the word is. */
function unknownInstruction({ word, keyword }: LogicalLine): string {
  const names = [...parsers.keys()];
  const isUpper = word === keyword;
  const hint = isUpper
    ? didYouMean(word, names)
    : didYouMean(
        word.toLowerCase(),
        names.map((name) => name.toLowerCase()),
      );
  return `unknown instruction: ${word}${hint}`;
}

function place(line: LogicalLine): Pick<Instruction, "lines" | "original" | "comments"> {
  return { lines: line.lines, original: line.original, comments: line.comments };
}

function noFlags({ flags }: Arguments): void {
  readFlags(flags, {});
}

const stageName = /^[a-z][a-z0-9-_.]*$/;

function parseFrom(line: Arguments): Instruction {
  const [image, as, name, ...more] = splitBlanks(line.rest);
  const hasName = as?.toLowerCase() === "as" && name !== undefined && more.length === 0;
  if (image === undefined || (as !== undefined && !hasName)) {
    throw new Error("FROM requires either one or three arguments");
  }
  const stage = name?.toLowerCase();
  if (name !== undefined && stage !== undefined && !stageName.test(stage)) {
    throw new Error(
      `invalid name for build stage: ${goQuote(name)}, name can't start with a number or contain symbols`,
    );
  }
  // An empty platform is none.
  const platform = readFlags(line.flags, { platform: "one" }).one("platform") || undefined;
  return { kind: "FROM", ...place(line), image, platform, as: stage };
}

const networks = ["default", "none", "host"];
const runFlags: KnownFlags = { mount: "many", network: "one", device: "many" };

function parseRun(line: Arguments): RunInstruction {
  const isLater = line.grammar === "later";
  const flags = readFlags(line.flags, { ...runFlags, ...(isLater && { security: "one" }) });
  const hasDevice = flags.all("device").length > 0;
  if (hasDevice && isLater) throw new Error("RUN --device is not supported");
  // What else is in them is looked at when they are expanded.
  for (const mount of flags.all("mount")) mountFrom(mount);
  const network = flags.one("network");
  if (network !== undefined && !networks.includes(network))
    throw new Error(`invalid network mode ${goQuote(network)}`);
  return {
    kind: "RUN",
    ...place(line),
    command: parseCommand(line.rest),
    mounts: flags.all("mount"),
    network,
    security: flags.one("security"),
    hasDevice,
    heredocs: line.heredocs,
  };
}

const treeFlags: KnownFlags = { chown: "one", chmod: "one", link: "boolean", exclude: "many" };
const copyFlags: KnownFlags = { ...treeFlags, from: "one" };
const addFlags: KnownFlags = {
  ...treeFlags,
  ...{ checksum: "one", "keep-git-dir": "boolean", unpack: "boolean" },
};

function parseCopy(line: Arguments): CopyInstruction {
  const kind = line.keyword === "ADD" ? "ADD" : "COPY";
  const words = parseJsonWords(line.rest) ?? splitBlanks(line.rest);
  const destination = words.at(-1);
  if (destination === undefined || words.length < 2) {
    throw new Error(
      `${kind} requires at least two arguments, but only one was provided. Destination could not be determined`,
    );
  }
  const later: KnownFlags = line.grammar === "later" ? { parents: "boolean" } : {};
  const flags = readFlags(line.flags, kind === "ADD" ? addFlags : { ...copyFlags, ...later });
  if (heredocMark(destination) !== undefined)
    throw new Error(`${kind} cannot accept a heredoc as a destination`);
  const sources = words.slice(0, -1).map((word) => heredocIn(word, line.heredocs) ?? word);
  return {
    kind,
    ...place(line),
    sources: sources.filter((source) => typeof source === "string"),
    destination,
    heredocs: sources.filter((source) => typeof source !== "string"),
    ...copyOptions(flags),
  };
}

function copyOptions(flags: GivenFlags) {
  return {
    from: flags.one("from") || undefined,
    chown: flags.one("chown") || undefined,
    chmod: flags.one("chmod") || undefined,
    checksum: flags.one("checksum") || undefined,
    exclude: flags.all("exclude"),
    link: flags.boolean("link") ?? false,
    parents: flags.boolean("parents") ?? false,
    keepGitDir: flags.boolean("keep-git-dir") ?? false,
    unpack: flags.boolean("unpack"),
  };
}

/** A source as a heredoc: of those with one name the last counts, and one that has no content is empty. */
function heredocIn(word: string, heredocs: readonly Heredoc[]): Heredoc | undefined {
  const mark = heredocMark(word);
  if (mark === undefined) return undefined;
  const written = heredocs.findLast(({ name }) => name === mark.name);
  const { content = "", raw = "" } = written ?? {};
  return { name: mark.name, expand: mark.expand, content, raw };
}

function parseEnvOrLabel(line: Arguments): Instruction {
  const kind = line.keyword === "ENV" ? "ENV" : "LABEL";
  const pairs = line.rest === "" ? [] : parsePairs(kind, line.rest, line.escape);
  noFlags(line);
  if (pairs.length === 0) throw new Error(`${kind} requires at least one argument`);
  if (pairs.some(({ key }) => key === "")) throw new Error(`${kind} names can not be blank`);
  return { kind, ...place(line), pairs };
}

function parseArg(line: Arguments): Instruction {
  const words = splitWords(line.rest, line.escape);
  if (words.length === 0) throw new Error("ARG requires at least one argument");
  const args = words.map((word) => {
    const equals = word.indexOf("=");
    const name = equals < 0 ? word : word.slice(0, equals);
    if (name === "") throw new Error("ARG names can not be blank");
    return { name, defaultValue: equals < 0 ? undefined : word.slice(equals + 1) };
  });
  return { kind: "ARG", ...place(line), args };
}

function parseText(line: Arguments): Instruction {
  const kind = line.keyword as "WORKDIR" | "USER" | "STOPSIGNAL" | "MAINTAINER";
  if (line.rest === "") throw new Error(`${kind} requires exactly one argument`);
  if (kind !== "STOPSIGNAL") noFlags(line);
  return { kind, ...place(line), text: line.rest };
}

function parseWords(line: Arguments): Instruction {
  const kind = line.keyword === "VOLUME" ? "VOLUME" : "EXPOSE";
  const words =
    (kind === "VOLUME" ? parseJsonWords(line.rest) : undefined) ?? splitBlanks(line.rest);
  if (words.length === 0) throw new Error(`${kind} requires at least one argument`);
  noFlags(line);
  if (kind === "VOLUME" && words.some((word) => word.trim() === ""))
    throw new Error("VOLUME specified can not be an empty string");
  return { kind, ...place(line), words };
}

function parseShell(line: Arguments): Instruction {
  const words = parseJsonWords(line.rest);
  noFlags(line);
  if (words?.length === 0 || line.rest === "")
    throw new Error("SHELL requires at least one argument");
  if (words === undefined) throw new Error("SHELL requires the arguments to be in JSON form");
  return { kind: "SHELL", ...place(line), words };
}

function parseCommandInstruction(line: Arguments): Instruction {
  const kind = line.keyword === "CMD" ? "CMD" : "ENTRYPOINT";
  const command = parseCommand(line.rest);
  noFlags(line);
  return { kind, ...place(line), command };
}

function parseOnbuild(line: Arguments): Instruction {
  if (line.rest === "") throw new Error("ONBUILD requires at least one argument");
  checkForm(line);
  noFlags(line);
  const keyword = (line.rest.split(/\s/)[0] ?? "").toUpperCase();
  if (keyword === "ONBUILD")
    throw new Error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (keyword === "MAINTAINER" || keyword === "FROM")
    throw new Error(`${keyword} isn't allowed as an ONBUILD trigger`);
  const bodies = line.heredocs.map(({ name, raw }) => `\n${raw}${name}`);
  return { kind: "ONBUILD", ...place(line), trigger: `${line.rest}${bodies.join("")}` };
}

/** Of a trigger only the form of its words is looked at. */
function checkForm({ rest, lines, heredocs, comments, escape }: Arguments): void {
  const { word, rest: words } = splitInstruction(rest);
  const original = rest;
  const trigger = { word, keyword: word.toUpperCase(), rest: words, original, heredocs, lines };
  try {
    parseInstruction({ ...trigger, comments, escape, emptyContinuation: undefined }, "later");
  } catch (error) {
    if (error instanceof DockerfileSyntaxError && error.isForm) throw error;
  }
}
