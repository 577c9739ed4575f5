/** Words of a Dockerfile instruction, as the shell would split them: quotes and backslashes. */
import { invalidArgument } from "@gantry/errors";

/** Splits at white space outside quotes; quotes and escapes are removed. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index);
    if (quote === "" && /\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === "\\" && quote !== "'" && index + 1 < text.length) {
      index += 1;
      word = (word ?? "") + text.charAt(index);
    } else if (quote === "" && (character === '"' || character === "'")) {
      quote = character;
      word ??= "";
    } else if (character === quote) {
      quote = "";
    } else {
      word = (word ?? "") + character;
    }
  }
  if (quote !== "")
    throw invalidArgument("unexpected end of statement while looking for matching double-quote");
  if (word !== undefined) words.push(word);
  return words;
}

/** `k=v k2="v 2"`, or the old form `k v`. */
export function keyValues(text: string, verb: string): [string, string][] {
  const first = /^(\S+)/.exec(text)?.[1] ?? "";
  if (!first.includes("=")) {
    const match = /^(\S+)\s+(.+)$/s.exec(text);
    if (match === null) throw invalidArgument(`${verb} must have two arguments`);
    return [[match[1] ?? "", match[2] ?? ""]];
  }
  return splitWords(text).map((word) => {
    const equals = word.indexOf("=");
    if (equals <= 0)
      throw invalidArgument(
        `Syntax error - can't find = in "${word}". Must be of the form: name=value`,
      );
    return [word.slice(0, equals), word.slice(equals + 1)];
  });
}

/** The JSON form `["a","b"]`, or undefined when it is none. */
export function jsonWords(text: string): string[] | undefined {
  if (!text.startsWith("[")) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((each) => typeof each === "string")
      ? value
      : undefined;
  } catch {
    return undefined;
  }
}
