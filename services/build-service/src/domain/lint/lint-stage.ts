/** Checks of a stage's instructions, each with the state that it changes. */
import {
  type ExpandOptions,
  expandToWords,
  expandWord,
  type Lookup,
} from "../dockerfile/expand.ts";
import type { Instruction } from "../dockerfile/instruction.ts";
import { mountWords } from "../dockerfile/mount-words.ts";
import { nearest } from "../dockerfile/nearest.ts";
import { lookupIn, type StageState } from "../frontend/stage-state.ts";
import type { Finding, RuleName } from "./rules.ts";

/** One instruction and the state before it. */
export interface LintedStep {
  readonly instruction: Instruction;
  readonly before: StageState;
  /** The build fails at it: only what it asks for is looked at. */
  readonly isWrong?: boolean;
}

/** Names of secrets, but for keys that are public. */
const secretName =
  /(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)/i;
const publicName = /(?:_|^)public(?:_|$)/i;

/** Instructions of which the last one counts. */
const onceOnly = new Set(["CMD", "ENTRYPOINT", "HEALTHCHECK"]);

/** What a stage is checked with. */
export interface StageContext {
  readonly escape: string;
  /** A stage below has set its working directory. */
  readonly hasDirectory: boolean;
  /** Whether .dockerignore leaves a path of the context out. */
  readonly ignores: (path: string) => boolean;
}

/** In BuildKit's order. */
export function lintStage(steps: readonly LintedStep[], context: StageContext): Finding[] {
  const { escape, hasDirectory } = context;
  const found: Finding[] = [];
  const earlier = new Map<string, Instruction>();
  let directorySet = hasDirectory;
  for (const { instruction, before, isWrong = false } of steps) {
    if (isWrong) {
      for (const message of undefinedVariables(instruction, before, escape))
        found.push({ rule: "UndefinedVar", message, lines: instruction.lines });
      continue;
    }
    const add = (rule: RuleName, message: string, at: Instruction = instruction): void => {
      found.push({ rule, message, lines: at.lines });
    };
    const { kind } = instruction;
    const first = onceOnly.has(kind) ? earlier.get(kind) : undefined;
    if (first !== undefined) {
      const text = `Multiple ${kind} instructions should not be used in the same stage because only the last one will be used`;
      add("MultipleInstructionsDisallowed", text, first);
    }
    earlier.set(kind, instruction);
    for (const [rule, message] of findingsOf(instruction, before, escape)) add(rule, message);
    for (const message of undefinedVariables(instruction, before, escape))
      add("UndefinedVar", message);
    for (const message of ignoredSources(instruction, before, context))
      add("CopyIgnoredFile", message);
    if (kind === "WORKDIR") {
      const { text } = expandWord(instruction.text, lookupIn(before), { escape });
      if (!directorySet && !text.startsWith("/")) {
        const message = `Relative workdir ${JSON.stringify(text)} can have unexpected results if the base image changes`;
        add("WorkdirRelativePath", message);
      }
      directorySet = true;
    }
  }
  return found;
}

function* findingsOf(
  instruction: Instruction,
  state: StageState,
  escape: string,
): Generator<readonly [RuleName, string]> {
  const { document } = state;
  const expand = (word: string): string[] => expandToWords(word, lookupIn(state), { escape });
  const { kind, original } = instruction;
  // As it is written.
  const keyword = original.split(/\s/)[0] ?? kind;
  switch (instruction.kind) {
    case "ENV":
    case "LABEL":
      if (/^\S+\s+[^\s=]+(?:\s|$)/.test(original)) {
        const text = `"${keyword} key=value" should be used instead of legacy "${keyword} key value" format`;
        yield ["LegacyKeyValueFormat", text];
      }
      if (kind === "ENV") yield* instruction.pairs.flatMap(({ key }) => secrets("ENV", key));
      break;
    case "ARG":
      yield* instruction.args.flatMap(({ name }) => secrets("ARG", name));
      break;
    case "CMD":
    case "ENTRYPOINT":
      // Who has chosen a shell wants it.
      if (instruction.command.form === "shell" && (document.config.Shell ?? []).length === 0) {
        const text = `JSON arguments recommended for ${keyword} to prevent unintended behavior related to OS signals`;
        yield ["JSONArgsRecommended", text];
      }
      break;
    case "EXPOSE":
      for (const word of instruction.words.flatMap(expand)) yield* exposed(word);
      break;
    default:
  }
}

function secrets(kind: "ENV" | "ARG", name: string): (readonly [RuleName, string])[] {
  if (!secretName.test(name) || publicName.test(name)) return [];
  const text = `Do not use ARG or ENV instructions for sensitive data (${kind} ${JSON.stringify(name)})`;
  return [["SecretsUsedInArgOrEnv", text]];
}

function* exposed(word: string): Generator<readonly [RuleName, string]> {
  const protocol = word.split("/")[1] ?? "";
  if (protocol !== protocol.toLowerCase()) {
    const text = `Defined protocol '${word}' in EXPOSE instruction should be lowercase`;
    yield ["ExposeProtoCasing", text];
  }
  if (!word.includes(":")) return;
  const text = `EXPOSE instruction should not define an IP address or host-port mapping, found '${word}'`;
  yield ["ExposeInvalidFormat", text];
}

function ignoredSources(
  instruction: Instruction,
  before: StageState,
  { escape, ignores }: StageContext,
): string[] {
  if (instruction.kind !== "COPY" && instruction.kind !== "ADD") return [];
  if (instruction.from !== undefined) return [];
  const verb = instruction.kind === "ADD" ? "Add" : "Copy";
  return instruction.sources
    .map((source) => expandWord(source, lookupIn(before), { escape }).text)
    .filter((source) => !/^[./]/.test(source) && !source.includes("://") && ignores(source))
    .map(
      (source) =>
        `Attempting to ${verb} file ${JSON.stringify(source)} that is excluded by .dockerignore`,
    );
}

function undefinedVariables(
  instruction: Instruction,
  before: StageState,
  escape: string,
): string[] {
  const lookup = lookupIn(before);
  const environment = (before.document.config.Env ?? []).map((each) => each.split("=")[0] ?? "");
  const known = [...environment, ...before.args.keys()];
  const given = known.filter((name) => lookup(name) !== undefined);
  return wordsOf(instruction).flatMap(({ word, options = { escape } }) => {
    const unset = unsetIn(word, lookup, options).filter((name) => !known.includes(name));
    return unset.map((name) => {
      const near = nearest(name, given);
      return `Usage of undefined variable '$${name}'${near === undefined ? "" : ` (did you mean $${near}?)`}`;
    });
  });
}

/** Also where a modifier stands in, and up to where the word is wrong. */
function unsetIn(word: string, lookup: Lookup, options: ExpandOptions): string[] {
  const unset = new Set<string>();
  try {
    expandWord(
      word,
      (name) => {
        const value = lookup(name);
        if (value === undefined) unset.add(name);
        return value;
      },
      options,
    );
  } catch {
    // The build fails at it.
  }
  return [...unset];
}

interface ExpandedWord {
  readonly word: string;
  /** Undefined: as any word of the file. */
  readonly options?: ExpandOptions;
}

/** The words in which variables are filled in. */
function wordsOf(instruction: Instruction): ExpandedWord[] {
  const bodies =
    instruction.kind === "COPY" || instruction.kind === "ADD"
      ? instruction.heredocs.filter(({ expand }) => expand)
      : [];
  return [
    ...plainWords(instruction).map((word) => ({ word })),
    ...bodies.map(({ content }) => ({ word: content, options: { noQuotes: true } })),
  ];
}

function plainWords(instruction: Instruction): string[] {
  switch (instruction.kind) {
    case "ENV":
    case "LABEL":
      return instruction.pairs.flatMap(({ key, value }) => [key, value]);
    case "ARG":
      return instruction.args.flatMap(({ defaultValue }) => defaultValue ?? []);
    case "COPY":
    case "ADD": {
      const { sources, destination, chown, chmod, checksum, exclude } = instruction;
      const flags = [chown ?? "", chmod ?? "", checksum ?? "", ...exclude];
      return [...flags, ...sources, destination];
    }
    case "RUN":
      return instruction.mounts.flatMap((mount) =>
        mountWords(mount).map((field) => field.slice(field.indexOf("=") + 1)),
      );
    case "USER":
    case "WORKDIR":
    case "STOPSIGNAL":
      return [instruction.text];
    case "VOLUME":
      return [...instruction.words];
    default:
      return [];
  }
}
