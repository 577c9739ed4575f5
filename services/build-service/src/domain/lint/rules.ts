/** BuildKit's checks of Dockerfiles: their names, what each is about, and which a Dockerfile wants. */
import { goQuote } from "../dockerfile/go-quote.ts";
import type { LineRange } from "../dockerfile/syntax-error.ts";

/** What each rule says of itself. */
const descriptions = {
  StageNameCasing: "Stage names should be lowercase",
  FromAsCasing: "The 'as' keyword should match the case of the 'from' keyword",
  NoEmptyContinuation: "Empty continuation lines will become errors in a future release",
  ConsistentInstructionCasing:
    "All commands within the Dockerfile should use the same casing (either upper or lower)",
  DuplicateStageName: "Stage names should be unique",
  ReservedStageName: "Reserved words should not be used as stage names",
  JSONArgsRecommended:
    "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
  MaintainerDeprecated:
    "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
  UndefinedArgInFrom: "FROM command must use declared ARGs",
  WorkdirRelativePath:
    "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
  UndefinedVar: "Variables should be defined before their use",
  MultipleInstructionsDisallowed:
    "Multiple instructions of the same type should not be used in the same stage",
  LegacyKeyValueFormat: "Legacy key/value format with whitespace separator should not be used",
  RedundantTargetPlatform:
    "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
  SecretsUsedInArgOrEnv: "Sensitive data should not be used in the ARG or ENV commands",
  InvalidDefaultArgInFrom:
    "Default value for global ARG results in an empty or invalid base image name",
  FromPlatformFlagConstDisallowed: "FROM --platform flag should not use a constant value",
  ExposeProtoCasing: "Protocol in EXPOSE instruction should be lowercase",
  ExposeInvalidFormat:
    "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
  InvalidBaseImagePlatform: "Base image platform does not match expected target platform",
  CopyIgnoredFile: "Attempting to Copy file that is excluded by .dockerignore",
  InvalidDefinitionDescription:
    "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
} as const;

/** Name of a rule. */
export type RuleName = keyof typeof descriptions;

/** Rules that a Dockerfile has to ask for. */
const experimental: ReadonlySet<RuleName> = new Set<RuleName>([
  "CopyIgnoredFile",
  "InvalidDefinitionDescription",
]);

/** Nobody has written about it. */
const undocumented: ReadonlySet<RuleName> = new Set<RuleName>(["InvalidBaseImagePlatform"]);

/** Something that a rule doesn't like. */
export interface Finding {
  readonly rule: RuleName;
  readonly message: string;
  readonly lines: LineRange;
}

/** A finding as it is shown. */
export function shownFinding({ rule, message, lines }: Finding): {
  readonly short: string;
  readonly detail: readonly string[];
  readonly url: string;
} {
  const { description, url } = aboutRule(rule);
  return { short: `${rule}: ${message} (line ${String(lines.first)})`, detail: [description], url };
}

/** What a rule is about, and where to read more; an empty URL: nowhere. */
export function aboutRule(rule: RuleName): { readonly description: string; readonly url: string } {
  const kebab = rule
    .replace(/([a-z])([A-Z])/g, "$1-$2")
    .replace(/([A-Z])([A-Z][a-z])/g, "$1-$2")
    .toLowerCase();
  const url = undocumented.has(rule) ? "" : `https://docs.docker.com/go/dockerfile/rule/${kebab}/`;
  return { description: descriptions[rule], url };
}

/** What `# check=` asks for, or the build argument in its place. */
export interface CheckOptions {
  /** Whether a rule counts. */
  readonly wants: (rule: RuleName) => boolean;
  /** Findings fail the build. */
  readonly isError: boolean;
}

/** Reads `skip=a,b;error=true`. Throws Error in BuildKit's words. */
export function readCheckOptions(text: string): CheckOptions {
  const skip = new Set<string>();
  const tried = new Set<string>();
  let isError = false;
  for (const part of text === "" ? [] : text.split(";").map((each) => each.trim())) {
    const [key = "", value] = part.split(/=(.*)/s);
    if (value === undefined) throw wrongOption(`invalid check option ${goQuote(part)}`);
    const name = key.trim();
    const list = name === "skip" ? skip : name === "experimental" ? tried : undefined;
    if (list !== undefined) for (const rule of value.split(",")) list.add(rule.trim());
    else if (name === "error") isError = booleanOf(value.trim(), part);
    else throw wrongOption(`invalid check option ${goQuote(name)}`);
  }
  const isIn = (list: ReadonlySet<string>, rule: RuleName): boolean =>
    list.has("all") || list.has(rule);
  return {
    wants: (rule) => !isIn(skip, rule) && (!experimental.has(rule) || isIn(tried, rule)),
    isError,
  };
}

const wrongOption = (reason: string): Error =>
  new Error(`failed to parse check options: ${reason}`);

function booleanOf(text: string, part: string): boolean {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  const reason = `strconv.ParseBool: parsing ${goQuote(text)}: invalid syntax`;
  throw wrongOption(`failed to parse check option ${goQuote(part)}: ${reason}`);
}
