/** Variable expansion of Dockerfile words, with the shell's modifiers that BuildKit knows. */
import { goQuote } from "./go-quote.ts";
import { withoutPrefix, withoutSuffix, withReplaced } from "./shell-pattern.ts";
import { WordList } from "./word-list.ts";

/** Values of variables; undefined = not set. */
export type Lookup = (name: string) => string | undefined;

/** Result of an expansion. */
export interface Expansion {
  readonly text: string;
  /** Names that were asked for without being set, also where a modifier stands in. */
  readonly unset: readonly string[];
}

/** How to expand. */
export interface ExpandOptions {
  /** Escape character, `\` by default. */
  readonly escape?: string;
  /** Quotes are characters as any other (heredoc bodies). */
  readonly noQuotes?: boolean;
  /** Quotes are understood, and stay. */
  readonly rawQuotes?: boolean;
  /** Escape characters stay. */
  readonly rawEscapes?: boolean;
  /** What is not set stays as it is written. */
  readonly keepUnset?: boolean;
}

/** Expands one word: variables replaced, quotes and escapes removed. Throws Error with BuildKit's texts. */
export function expandWord(word: string, lookup: Lookup, options: ExpandOptions = {}): Expansion {
  const expander = new Expander(word, lookup, options);
  const { text } = expander.all();
  return { text, unset: [...expander.unset] };
}

/** Expands a word and splits it at blanks that don't stand in quotes. */
export function expandToWords(word: string, lookup: Lookup, options: ExpandOptions = {}): string[] {
  return new Expander(word, lookup, options).all().words;
}

interface Processed {
  readonly text: string;
  readonly words: string[];
}

/** Modifiers whose word may hold escaped pattern characters. */
const trimming = new Set(["#", "%"]);

class Expander {
  readonly unset = new Set<string>();
  private readonly input: string;
  private readonly lookup: Lookup;
  private readonly escape: string;
  private readonly options: ExpandOptions;
  private rawEscapes: boolean;
  private position = 0;

  constructor(input: string, lookup: Lookup, options: ExpandOptions) {
    this.input = input;
    this.lookup = lookup;
    this.escape = options.escape ?? "\\";
    this.options = options;
    this.rawEscapes = options.rawEscapes ?? false;
  }

  all(): Processed {
    try {
      return this.until("", this.rawEscapes);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const message = `failed to process ${goQuote(this.input)}: ${error.message}`;
      throw new Error(message, { cause: error });
    }
  }

  /** Reads past an unquoted character, or to the end when `stop` is empty. */
  private until(stop: string, rawEscapes: boolean): Processed {
    const before = this.rawEscapes;
    this.rawEscapes = rawEscapes;
    let text = "";
    const list = new WordList();
    while (this.peek() !== "" && (stop === "" || this.peek() !== stop)) {
      const character = this.peek();
      if (character === "$") {
        const value = this.variable();
        text += value;
        list.addText(value);
      } else if (this.isQuote(character)) {
        const quoted = character === "'" ? this.singleQuoted() : this.doubleQuoted();
        text += quoted;
        list.addQuoted(quoted);
      } else text += this.plain(list);
    }
    this.rawEscapes = before;
    if (stop !== "" && this.next() === "")
      throw new Error(`unexpected end of statement while looking for matching ${stop}`);
    return { text, words: list.end() };
  }

  /** One character, or an escaped one. */
  private plain(list: WordList): string {
    const character = this.next();
    if (character !== this.escape) {
      list.addText(character);
      return character;
    }
    const kept = this.rawEscapes ? character : "";
    const escaped = this.next();
    list.addQuoted(kept + escaped);
    return kept + escaped;
  }

  private isQuote(character: string): boolean {
    return (character === "'" || character === '"') && this.options.noQuotes !== true;
  }

  private singleQuoted(): string {
    const quote = this.options.rawQuotes === true ? this.next() : (this.next(), "");
    let text = quote;
    for (;;) {
      const character = this.next();
      if (character === "")
        throw new Error("unexpected end of statement while looking for matching single-quote");
      if (character === "'") return text + quote;
      text += character;
    }
  }

  private doubleQuoted(): string {
    const quote = this.options.rawQuotes === true ? this.next() : (this.next(), "");
    let text = quote;
    for (;;) {
      switch (this.peek()) {
        case "":
          throw new Error("unexpected end of statement while looking for matching double-quote");
        case '"':
          this.next();
          return text + quote;
        case "$":
          text += this.variable();
          break;
        default:
          text += this.inDoubleQuotes();
      }
    }
  }

  /** Only quotes, dollars and escape characters are escaped there. */
  private inDoubleQuotes(): string {
    const character = this.next();
    if (character !== this.escape) return character;
    const kept = this.rawEscapes ? character : "";
    const following = this.peek();
    if (following === "") return kept;
    if (following === '"' || following === "$" || following === this.escape)
      return kept + this.next();
    return kept + character;
  }

  private variable(): string {
    this.next();
    if (this.peek() === "{") return this.braced();
    const name = this.name();
    if (name === "") return "$";
    const value = this.value(name);
    return value === undefined && this.keepsUnset ? `$${name}` : (value ?? "");
  }

  private name(): string {
    const form = /\p{Nd}+|[@*#?$!-]|[\p{L}_][\p{L}\p{Nd}_]*/uy;
    form.lastIndex = this.position;
    const name = form.exec(this.input)?.[0] ?? "";
    this.position += name.length;
    return name;
  }

  private value(name: string): string | undefined {
    const value = this.lookup(name);
    if (value === undefined) this.unset.add(name);
    return value;
  }

  private get keepsUnset(): boolean {
    return this.options.keepUnset === true;
  }

  private braced(): string {
    this.next();
    if (this.peek() === "") throw new Error("syntax error: missing '}'");
    if (["{", "}", ":"].includes(this.peek())) throw new Error("syntax error: bad substitution");
    const name = this.name();
    const modifier = this.next();
    switch (modifier) {
      case "}": {
        const value = this.value(name);
        return value === undefined && this.keepsUnset ? `\${${name}}` : (value ?? "");
      }
      case "/":
        return this.replaced(name);
      case ":":
        return this.modified(name, this.nextShown(), true);
      case "+":
      case "-":
      case "?":
      case "#":
      case "%":
        return this.modified(name, modifier, false);
      default:
        // Go shows what stands for the end as a character that is none.
        throw new Error(`unsupported modifier (${modifier || "\uFFFD"}) in substitution`);
    }
  }

  /** @param emptyIsUnset a colon stands before the modifier */
  private modified(name: string, modifier: string, emptyIsUnset: boolean): string {
    const shown = `${emptyIsUnset ? ":" : ""}${modifier}`;
    const word = this.braceWord("}", trimming.has(modifier), "syntax error: missing '}'");
    const value = this.value(name);
    if (value === undefined && this.keepsUnset) return `\${${name}${shown}${word}}`;
    const given = value !== undefined && !(emptyIsUnset && value === "");
    switch (modifier) {
      case "-":
        return given ? value : word;
      case "+":
        return given ? word : "";
      case "?": {
        if (given) return value;
        const reason = `is not allowed to be ${value === undefined ? "unset" : "empty"}`;
        throw new Error(`${name}: ${word === "" ? reason : word}`);
      }
      case "#":
      case "%": {
        const greedy = word.startsWith(modifier);
        const without = modifier === "#" ? withoutPrefix : withoutSuffix;
        return without(value ?? "", greedy ? word.slice(1) : word, greedy);
      }
      default:
        throw new Error(`unsupported modifier (${shown}) in substitution`);
    }
  }

  private replaced(name: string): string {
    const all = this.peek() === "/";
    if (all) this.next();
    const pattern = this.braceWord("/", true, "syntax error: missing '/' in ${}");
    const replacement = this.braceWord("}", true, "syntax error: missing '}'");
    const value = this.value(name);
    if (value === undefined && this.keepsUnset) return `\${${name}/${pattern}/${replacement}}`;
    return withReplaced(value ?? "", pattern, replacement, all);
  }

  /** @param missing the text for a word that reaches to the end */
  private braceWord(stop: string, rawEscapes: boolean, missing: string): string {
    try {
      return this.until(stop, rawEscapes).text;
    } catch (error) {
      if (this.peek() !== "") throw error;
      throw new Error(missing, { cause: error });
    }
  }

  private peek(): string {
    return this.input[this.position] ?? "";
  }

  private next(): string {
    const character = this.peek();
    if (character !== "") this.position += 1;
    return character;
  }

  private nextShown(): string {
    return this.next() || "\uFFFD";
  }
}
