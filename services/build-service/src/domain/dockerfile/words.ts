/** Splitting the arguments of an instruction: flags, quoted words, JSON arrays, key=value lists. */
import type { Command, KeyValue } from "./instruction.ts";
import { WordFormError } from "./syntax-error.ts";

/** Flags in the order given. */
export interface Flagged {
  readonly flags: readonly { readonly name: string; readonly value: string | undefined }[];
  /** What follows the flags. */
  readonly rest: string;
}

/** Takes `--name[=value]` words off the front; `--` ends them. */
export function takeFlags(text: string): Flagged {
  const flags: { name: string; value: string | undefined }[] = [];
  let rest = text.trimStart();
  for (;;) {
    if (!rest.startsWith("--")) return { flags, rest };
    const word = firstWord(rest);
    rest = rest.slice(word.length).trimStart();
    if (word === "--") return { flags, rest };
    const equals = word.indexOf("=");
    if (equals < 0) flags.push({ name: word.slice(2), value: undefined });
    else flags.push({ name: word.slice(2, equals), value: unquote(word.slice(equals + 1)) });
  }
}

/** First blank-separated word; blanks inside quotes belong to it, as do escaped ones. */
function firstWord(text: string): string {
  let quote = "";
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index] ?? "";
    if (character === "\\") index += 1;
    else if (quote !== "") quote = character === quote ? "" : quote;
    else if (character === '"' || character === "'") quote = character;
    else if (/\s/.test(character)) return text.slice(0, index);
  }
  return text;
}

function unquote(text: string): string {
  const match = /^(["'])(.*)\1$/s.exec(text);
  return match?.[2] ?? text;
}

/** Words at blanks; quotes and escapes stay in the words. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let rest = text.trim();
  while (rest !== "") {
    const word = firstWord(rest);
    words.push(word);
    rest = rest.slice(word.length).trimStart();
  }
  return words;
}

/** A JSON array of strings, or undefined when the text is no JSON. Throws for arrays with other members. */
export function parseJsonWords(text: string): string[] | undefined {
  if (!text.trimStart().startsWith("[")) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // Not JSON after all: the shell form, as documented.
    return undefined;
  }
  if (!Array.isArray(parsed)) return undefined;
  return parsed.map((member: unknown) => {
    if (typeof member !== "string")
      throw new WordFormError(
        "when using JSON array syntax, arrays must be comprised of strings only",
      );
    return member;
  });
}

/** Exec form when the text is a JSON array, else shell form. */
export function parseCommand(text: string): Command {
  const args = parseJsonWords(text);
  return args === undefined ? { form: "shell", text } : { form: "exec", args };
}

/** `key=value ...`, or the legacy form `key value`. */
export function parsePairs(keyword: string, text: string): KeyValue[] {
  const words = splitWords(text);
  const first = words[0];
  if (first === undefined) throw new WordFormError(`${keyword} must have two arguments`);
  if (!first.includes("=")) {
    const value = text.trim().slice(first.length).trim();
    if (value === "") throw new WordFormError(`${keyword} must have two arguments`);
    return [{ key: first, value }];
  }
  return words.map((word) => {
    const equals = word.indexOf("=");
    if (equals < 0)
      throw new WordFormError(
        `Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`,
      );
    if (equals === 0) throw new Error(`${keyword} names can not be blank`);
    return { key: word.slice(0, equals), value: word.slice(equals + 1) };
  });
}

const durationUnits: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** A Go duration such as `1m30s`, in nanoseconds. Throws in Go's words. */
export function parseGoDuration(text: string): number {
  const shown = JSON.stringify(text);
  const [, sign = "", amounts = ""] = /^([-+]?)(.*)$/s.exec(text) ?? [];
  if (amounts === "0") return 0;
  if (amounts === "") throw new Error(`time: invalid duration ${shown}`);
  let sum = 0;
  for (let rest = amounts; rest !== ""; ) {
    const [all, amount = ""] = /^(\d+\.?\d*|\.\d+)/.exec(rest) ?? [];
    if (all === undefined) throw new Error(`time: invalid duration ${shown}`);
    rest = rest.slice(all.length);
    const unit = /^[^.\d]*/.exec(rest)?.[0] ?? "";
    if (unit === "") throw new Error(`time: missing unit in duration ${shown}`);
    const nanoseconds = durationUnits[unit];
    if (nanoseconds === undefined)
      throw new Error(`time: unknown unit ${JSON.stringify(unit)} in duration ${shown}`);
    sum += Number(amount) * nanoseconds;
    rest = rest.slice(unit.length);
  }
  return Math.round(sign === "-" ? -sum : sum);
}
