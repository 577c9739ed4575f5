/** Words of a Dockerfile instruction, as the shell would split them: quotes and backslashes. */
import { invalidArgument } from "@gantry/errors";

/** Values of variables; undefined = not set. */
export type Lookup = (name: string) => string | undefined;

/** Splits at white space outside quotes; variables are replaced, quotes and escapes removed. */
export function splitWords(text: string, lookup: Lookup): string[] {
  return new Scanner(text, lookup).words();
}

/** One word, with its white space: variables replaced, quotes and escapes removed. */
export function expandText(text: string, lookup: Lookup): string {
  return new Scanner(text, lookup).untilEnd();
}

class Scanner {
  readonly #text: string;
  readonly #lookup: Lookup;
  #at = 0;

  constructor(text: string, lookup: Lookup) {
    this.#text = text;
    this.#lookup = lookup;
  }

  words(): string[] {
    const words: string[] = [];
    let word: string | undefined;
    while (this.#at < this.#text.length) {
      if (/\s/.test(this.#text.charAt(this.#at))) {
        if (word !== undefined) words.push(word);
        word = undefined;
        this.#at += 1;
      } else word = (word ?? "") + this.#piece();
    }
    if (word !== undefined) words.push(word);
    return words;
  }

  /** @param end the character before which it ends; empty: where the text does */
  untilEnd(end = ""): string {
    let result = "";
    while (this.#at < this.#text.length && this.#text.charAt(this.#at) !== end)
      result += this.#piece();
    return result;
  }

  #piece(): string {
    const character = this.#text.charAt(this.#at++);
    if (character === "$") return this.#variable();
    if (character === "'") return this.#single();
    if (character === '"') return this.#double();
    return character === "\\" ? this.#text.charAt(this.#at++) : character;
  }

  #single(): string {
    const end = this.#text.indexOf("'", this.#at);
    if (end < 0) throw unclosed("single");
    const quoted = this.#text.slice(this.#at, end);
    this.#at = end + 1;
    return quoted;
  }

  #double(): string {
    let result = "";
    for (;;) {
      if (this.#at >= this.#text.length) throw unclosed("double");
      const character = this.#text.charAt(this.#at++);
      if (character === '"') return result;
      if (character === "$") result += this.#variable();
      else if (character === "\\" && /["$\\]/.test(this.#text.charAt(this.#at)))
        result += this.#text.charAt(this.#at++);
      else result += character;
    }
  }

  #variable(): string {
    const rest = this.#text.slice(this.#at);
    const plain = /^(?:[A-Za-z_]\w*|\d)/.exec(rest)?.[0];
    if (plain !== undefined) {
      this.#at += plain.length;
      return this.#lookup(plain) ?? "";
    }
    if (!rest.startsWith("{")) return "$";
    const [head = "", name = "", modifier = ""] =
      /^\{([A-Za-z_]\w*|\d)(:?[-+?]|(?=\}))/.exec(rest) ?? [];
    if (name === "")
      throw invalidArgument(`failed to process ${JSON.stringify(this.#text)}: bad substitution`);
    this.#at += head.length;
    const word = this.untilEnd("}");
    if (this.#at >= this.#text.length) throw invalidArgument("syntax error: missing '}'");
    this.#at += 1;
    return this.#chosen(name, modifier, word);
  }

  #chosen(name: string, modifier: string, word: string): string {
    const value = this.#lookup(name);
    const isGiven = modifier.startsWith(":") ? (value ?? "") !== "" : value !== undefined;
    if (modifier.endsWith("-")) return isGiven ? (value ?? "") : word;
    if (modifier.endsWith("+")) return isGiven ? word : "";
    if (modifier.endsWith("?") && !isGiven) {
      throw invalidArgument(`${name}: ${word === "" ? "is not allowed to be unset" : word}`);
    }
    return value ?? "";
  }
}

function unclosed(quote: "single" | "double"): Error {
  return invalidArgument(`unexpected end of statement while looking for matching ${quote}-quote`);
}

/** `k=v k2="v 2"`, or the old form `k v`. */
export function keyValues(text: string, verb: string, lookup: Lookup): [string, string][] {
  const first = /^(\S+)/.exec(text)?.[1] ?? "";
  if (!first.includes("=")) {
    const match = /^(\S+)\s+(.+)$/s.exec(text);
    if (match === null) throw invalidArgument(`${verb} must have two arguments`);
    return [[expandText(match[1] ?? "", lookup), expandText(match[2] ?? "", lookup)]];
  }
  return splitWords(text, lookup).map((word) => {
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
