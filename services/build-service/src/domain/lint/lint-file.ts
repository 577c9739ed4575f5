/** Checks of a Dockerfile's text and stages, for which no base image has to be known. */
import { expandWord } from "../dockerfile/expand.ts";
import type { FromInstruction, Instruction } from "../dockerfile/instruction.ts";
import { nearest } from "../dockerfile/nearest.ts";
import type { Dockerfile } from "../dockerfile/parse.ts";
import type { Parsed } from "../dockerfile/syntax-error.ts";
import { splitBlanks, splitInstruction, takeFlags } from "../dockerfile/words.ts";
import type { Stage, Stages } from "../frontend/stages.ts";
import type { Finding } from "./rules.ts";

/** What the stages' FROM lines are checked with. */
export interface FileContext {
  /** ARGs that are there without being declared. */
  readonly predefined: ReadonlyMap<string, string>;
  readonly escape: string;
  /** Whether an image can be called so. */
  readonly isReference: (text: string) => boolean;
  /** A platform's parts; undefined: it is none. */
  readonly platform: (
    text: string,
  ) => { readonly os: string; readonly architecture: string } | undefined;
}

const reserved = new Set(["scratch", "context"]);

function emptyContinuations(last: readonly number[]): Finding[] {
  return last.map((line) => ({
    rule: "NoEmptyContinuation",
    message: "Empty continuation line",
    lines: { first: line, last: line },
  }));
}

/** Of a Dockerfile in which an instruction is wrong: what its lines tell up to there. */
export function lintUnparsed(parsed: Parsed): Finding[] {
  return [...emptyContinuations(parsed.emptyContinuations), ...parsed.lines.flatMap(ofKeyword)];
}

/** In BuildKit's order. */
export function lintFile(dockerfile: Dockerfile, file: Stages, context: FileContext): Finding[] {
  return [
    ...emptyContinuations(dockerfile.emptyContinuations),
    ...dockerfile.instructions.flatMap(keywords),
    ...stageNames(file.stages),
    ...casing(file.stages),
    ...defaultBases(file, context),
    ...file.stages.flatMap(({ from }) => fromArguments(from, file, context)),
  ];
}

function keywords(instruction: Instruction): Finding[] {
  const { kind: keyword, original, lines } = instruction;
  return [...descriptions(instruction), ...ofKeyword({ keyword, original, lines })];
}

function ofKeyword({ keyword, original, lines }: Parsed["lines"][number]): Finding[] {
  if (keyword === "MAINTAINER") {
    const message = "Maintainer instruction is deprecated in favor of using label";
    return [{ rule: "MaintainerDeprecated", message, lines }];
  }
  if (keyword !== "FROM") return [];
  const { word: from, rest } = splitInstruction(original);
  const [, as = "", name = "", ...more] = splitBlanks(takeFlags(rest).rest);
  if (name === "" || more.length > 0) return [];
  const found: Finding[] = [];
  if (name !== name.toLowerCase()) {
    const message = `Stage name '${name}' should be lowercase`;
    found.push({ rule: "StageNameCasing", message, lines });
  }
  const isLower = from === from.toLowerCase();
  const isUpper = from === from.toUpperCase();
  if ((isLower && as !== "as") || (isUpper && as !== "AS")) {
    const message = `'${as}' and '${from}' keywords' casing do not match`;
    found.push({ rule: "FromAsCasing", message, lines });
  }
  return found;
}

/** Comments above stages and arguments are taken for their descriptions. */
function descriptions(instruction: Instruction): Finding[] {
  const { kind, comments, lines } = instruction;
  const names =
    kind === "FROM"
      ? [instruction.as ?? ""]
      : kind === "ARG"
        ? instruction.args.map((each) => each.name)
        : [];
  const describes = (comment: string): boolean =>
    names.some((each) => comment.startsWith(`${each} `));
  if (comments.length === 0 || names.join("") === "" || comments.some(describes)) return [];
  const shown = names.length === 1 ? (names[0] ?? "") : "<arg_key>";
  const message = `Comment for ${kind} should follow the format: \`# ${shown} <description>\``;
  return [{ rule: "InvalidDefinitionDescription", message, lines }];
}

function stageNames(stages: readonly Stage[]): Finding[] {
  const seen = new Set<string>();
  return stages.flatMap(({ name, named, from: { lines } }): Finding[] => {
    if (!named) return [];
    if (reserved.has(name)) {
      const message = `Stage name should not use the same name as reserved stage ${JSON.stringify(name)}`;
      return [{ rule: "ReservedStageName", message, lines }];
    }
    if (!seen.has(name)) {
      seen.add(name);
      return [];
    }
    const message = `Duplicate stage name ${JSON.stringify(name)}, stage names should be unique`;
    return [{ rule: "DuplicateStageName", message, lines }];
  });
}

/** The most frequent casing counts, of words that have one; upper case where there are as many of both. */
function casing(stages: readonly Stage[]): Finding[] {
  const all = stages.flatMap(({ from, instructions }) => [from, ...instructions]);
  const words = all.map(({ original, lines }) => ({ word: original.split(/\s/)[0] ?? "", lines }));
  const lower = words.filter(({ word }) => word === word.toLowerCase()).length;
  const upper = words.filter(({ word }) => word === word.toUpperCase()).length;
  const isLower = lower > upper;
  return words.flatMap(({ word, lines }): Finding[] => {
    if (word === (isLower ? word.toLowerCase() : word.toUpperCase())) return [];
    const majority = isLower ? "lowercase" : "uppercase";
    const message = `Command '${word}' should match the case of the command majority (${majority})`;
    return [{ rule: "ConsistentInstructionCasing", message, lines }];
  });
}

/** With what the file itself says, every base has a name. */
function defaultBases(
  { globalArgs, stages }: Stages,
  { predefined, escape, isReference }: FileContext,
): Finding[] {
  const values = new Map(predefined);
  for (const { args } of globalArgs) {
    for (const { name, defaultValue } of args) {
      if (defaultValue === undefined) continue;
      const { text } = expandWord(defaultValue, (each) => values.get(each), { escape });
      values.set(name, text);
    }
  }
  return stages.flatMap(({ from: { image, lines } }): Finding[] => {
    const { text } = expandWord(image, (name) => values.get(name), { escape });
    if (text !== "" && isReference(text)) return [];
    const message = `Default value for ARG ${image} results in empty or invalid base image name`;
    return [{ rule: "InvalidDefaultArgInFrom", message, lines }];
  });
}

function fromArguments(
  { image, platform, lines, as = "" }: FromInstruction,
  { globalArgs }: Stages,
  context: FileContext,
): Finding[] {
  const declared = globalArgs.flatMap(({ args }) => args.map(({ name }) => name));
  const known = [...declared, ...context.predefined.keys()];
  const found: Finding[] = [];
  const matched = new Set<string>();
  const predefined = (name: string): string | undefined => {
    matched.add(name);
    return context.predefined.get(name) ?? (known.includes(name) ? "x" : undefined);
  };
  const undeclared = (word: string): void => {
    const { unset } = expandWord(word, (name) => (known.includes(name) ? "x" : undefined), context);
    for (const name of unset) {
      const near = nearest(name, known);
      const hint = near === undefined ? "" : ` (did you mean ${near}?)`;
      const message = `FROM argument '${name}' is not declared${hint}`;
      found.push({ rule: "UndefinedArgInFrom", message, lines });
    }
  };
  undeclared(image);
  if (platform === undefined) return found;
  undeclared(platform);
  const target = context.predefined.get("TARGETPLATFORM");
  const { text } = expandWord(platform, predefined, context);
  if (matched.size === 1 && matched.has("TARGETPLATFORM") && text === target) {
    const message = `Setting platform to predefined ${platform} in FROM is redundant as this is the default behavior`;
    found.push({ rule: "RedundantTargetPlatform", message, lines });
  } else if (!platform.includes("$")) {
    // A stage that says in its name for what it is means it.
    const parts = context.platform(platform);
    const isNamed = parts === undefined || as.includes(parts.os) || as.includes(parts.architecture);
    const message = `FROM --platform flag should not use constant value ${JSON.stringify(platform)}`;
    if (!isNamed) found.push({ rule: "FromPlatformFlagConstDisallowed", message, lines });
  }
  return found;
}
