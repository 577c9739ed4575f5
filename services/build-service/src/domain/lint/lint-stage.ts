/** Checks of a stage's instructions, each with the state that it changes. */
import { expandWord } from "../dockerfile/expand.ts";
import type { Instruction } from "../dockerfile/instruction.ts";
import { nearest } from "../dockerfile/nearest.ts";
import { lookupIn, type StageState } from "../frontend/stage-state.ts";
import type { Finding, RuleName } from "./rules.ts";

/** One instruction and the state before it. */
export interface LintedStep {
  readonly instruction: Instruction;
  readonly before: StageState;
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
  for (const { instruction, before } of steps) {
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
    for (const [rule, message] of findingsOf(instruction, before)) add(rule, message);
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
  { document }: StageState,
): Generator<readonly [RuleName, string]> {
  const { kind, original } = instruction;
  // As it is written.
  const keyword = original.split(/\s/)[0] ?? kind;
  switch (instruction.kind) {
    case "ENV":
    case "LABEL":
      if (/^\S+\s+[^\s=]+(?:\s|$)/.test(original)) {
        const text = `"${kind} key=value" should be used instead of legacy "${kind} key value" format`;
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
      for (const word of instruction.words) yield* exposed(word);
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
  // Also where the word has a default for it.
  const unset = new Set<string>();
  for (const word of wordsOf(instruction)) {
    const value = (name: string): string | undefined => {
      if (!known.includes(name)) unset.add(name);
      return lookup(name);
    };
    expandWord(word, value, { escape });
  }
  return [...unset].map((name) => {
    const near = nearest(name, known);
    return `Usage of undefined variable '$${name}'${near === undefined ? "" : ` (did you mean $${near}?)`}`;
  });
}

/** The words in which variables are filled in. */
function wordsOf(instruction: Instruction): string[] {
  switch (instruction.kind) {
    case "ENV":
    case "LABEL":
      return instruction.pairs.flatMap(({ key, value }) => [key, value]);
    case "ARG":
      return instruction.args.flatMap(({ defaultValue }) => defaultValue ?? []);
    case "COPY":
    case "ADD": {
      const { sources, destination, chown, chmod } = instruction;
      return [...sources, destination, chown ?? "", chmod ?? ""];
    }
    case "USER":
    case "WORKDIR":
    case "STOPSIGNAL":
      return [instruction.text];
    case "EXPOSE":
    case "VOLUME":
      return [...instruction.words];
    default:
      return [];
  }
}
