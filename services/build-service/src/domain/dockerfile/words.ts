/** Splitting the arguments of an instruction: flags, quoted words, JSON arrays, key=value lists. */
import { goQuote } from "./go-quote.ts";
import type { Command, KeyValue } from "./instruction.ts";
import { WordFormError } from "./syntax-error.ts";

/** Flags in the order given. */
export interface Flagged {
  readonly flags: readonly { readonly name: string; readonly value: string | undefined }[];
  /** What follows the flags. */
  readonly rest: string;
}

/** The first word of an instruction, and what follows it. */
export function splitInstruction(text: string): { readonly word: string; readonly rest: string } {
  const [, word = "", rest = ""] = /^([^\t\v\f\r ]*)[\t\v\f\r ]*(.*)$/s.exec(text) ?? [];
  return { word, rest };
}

/** Takes `--name[=value]` words off the front, without their quotes; `--` ends them. */
export function takeFlags(text: string): Flagged {
  const flags: { name: string; value: string | undefined }[] = [];
  let rest = text.trim();
  while (rest.startsWith("--")) {
    const { word, length } = flagWord(rest);
    rest = rest.slice(length).trim();
    if (word === "--") break;
    const equals = word.indexOf("=");
    if (equals < 0) flags.push({ name: word.slice(2), value: undefined });
    else flags.push({ name: word.slice(2, equals), value: word.slice(equals + 1) });
  }
  return { flags, rest };
}

/** A word up to a blank that is not quoted. A backslash escapes, whatever the file's escape character. */
function flagWord(text: string): { readonly word: string; readonly length: number } {
  let word = "";
  let quote = "";
  for (let index = 0; index < text.length; index += 1) {
    let character = text[index] ?? "";
    if (quote === "" && /\s/.test(character)) return { word, length: index };
    if (character === "\\") {
      index += 1;
      character = text[index] ?? "";
      word += character;
    } else if (character === quote) quote = "";
    else if (quote === "" && (character === '"' || character === "'")) quote = character;
    else word += character;
  }
  return { word, length: text.length };
}

/** Words at blanks, whatever the quotes. */
export function splitBlanks(text: string): string[] {
  return text === "" ? [] : text.split(/[\t\v\f\r ]+/);
}

/** Words at blanks that are neither quoted nor escaped; quotes and escapes stay in the words. */
export function splitWords(text: string, escape: string): string[] {
  const words: string[] = [];
  let rest = text.trim();
  while (rest !== "") {
    const word = firstWord(rest, escape);
    words.push(word);
    rest = rest.slice(word.length).trimStart();
  }
  return words;
}

function firstWord(text: string, escape: string): string {
  let quote = "";
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index] ?? "";
    // Nothing escapes in single quotes.
    if (character === escape && quote !== "'") index += 1;
    else if (quote !== "") quote = character === quote ? "" : quote;
    else if (character === '"' || character === "'") quote = character;
    else if (/\s/.test(character)) return text.slice(0, index);
  }
  return text;
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
export function parsePairs(keyword: string, text: string, escape: string): KeyValue[] {
  const words = splitWords(text, escape);
  if (words[0]?.includes("=") !== true) {
    const [, key = "", value] = /^([^\t\v\f\r ]*)[\t\v\f\r ]+(.*)$/s.exec(text) ?? [];
    if (value === undefined) throw new WordFormError(`${keyword} must have two arguments`);
    return [{ key, value }];
  }
  return words.map((word) => {
    const equals = word.indexOf("=");
    if (equals < 0)
      throw new WordFormError(
        `Syntax error - can't find = in ${goQuote(word)}. Must be of the form: name=value`,
      );
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
