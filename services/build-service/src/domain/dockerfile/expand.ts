/** Variable expansion of Dockerfile words, with the shell's modifiers that BuildKit knows. */

/** Values of variables; undefined = not set. */
export type Lookup = (name: string) => string | undefined;

/** Result of an expansion. */
export interface Expansion {
  readonly text: string;
  /** Names that were used without being set. */
  readonly unset: readonly string[];
}

/** How to expand. */
export interface ExpandOptions {
  /** Escape character, `\` by default. */
  readonly escape?: string;
  /** Keep quotes and escapes (heredoc bodies). */
  readonly rawQuotes?: boolean;
}

/** Expands one word: variables replaced, quotes and escapes removed. Throws Error with BuildKit's texts. */
export function expandWord(word: string, lookup: Lookup, options: ExpandOptions = {}): Expansion {
  const expander = new Expander(word, lookup, options);
  const text = processed(word, () => expander.untilEnd());
  return { text, unset: [...expander.unset] };
}

/** Expands a word and splits it at blanks that don't stand in quotes. */
export function expandToWords(word: string, lookup: Lookup, options: ExpandOptions = {}): string[] {
  const expander = new Expander(word, lookup, options);
  return processed(word, () => expander.words());
}

function processed<T>(word: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new Error(`failed to process ${JSON.stringify(word)}: ${error.message}`, {
      cause: error,
    });
  }
}

class Expander {
  readonly unset = new Set<string>();
  private readonly input: string;
  private readonly lookup: Lookup;
  private readonly escape: string;
  private readonly rawQuotes: boolean;
  private position = 0;

  constructor(input: string, lookup: Lookup, options: ExpandOptions) {
    this.input = input;
    this.lookup = lookup;
    this.escape = options.escape ?? "\\";
    this.rawQuotes = options.rawQuotes ?? false;
  }

  untilEnd(): string {
    return this.until("").text;
  }

  words(): string[] {
    const words: string[] = [];
    let word: string | undefined;
    while (this.position < this.input.length) {
      const character = this.peek();
      if (/\s/.test(character)) {
        this.position += 1;
        if (word !== undefined) words.push(word);
        word = undefined;
      } else if (character === "$") {
        const value = this.variable();
        const parts = value.split(/\s+/);
        word = (word ?? "") + (parts[0] ?? "");
        for (const part of parts.slice(1)) {
          if (word !== "") words.push(word);
          word = part;
        }
      } else word = (word ?? "") + this.one();
    }
    if (word !== undefined && word !== "") words.push(word);
    return words;
  }

  /** Reads up to (not including) an unquoted character of `stops`, or to the end when `stops` is empty. */
  private until(stops: string): { text: string; stopped: string } {
    let text = "";
    while (this.position < this.input.length) {
      const character = this.peek();
      if (stops.includes(character)) return { text, stopped: character };
      text += this.one();
    }
    return { text, stopped: "" };
  }

  private one(): string {
    const character = this.peek();
    if (character === "'" && !this.rawQuotes) return this.singleQuoted();
    if (character === '"' && !this.rawQuotes) return this.doubleQuoted();
    if (character === "$") return this.variable();
    this.position += 1;
    if (character !== this.escape) return character;
    return this.escaped();
  }

  private escaped(): string {
    if (this.position >= this.input.length) return this.rawQuotes ? this.escape : "";
    const next = this.peek();
    this.position += 1;
    return this.rawQuotes && next !== "$" ? this.escape + next : next;
  }

  private singleQuoted(): string {
    const end = this.input.indexOf("'", this.position + 1);
    if (end < 0)
      throw new Error("unexpected end of statement while looking for matching single-quote");
    const text = this.input.slice(this.position + 1, end);
    this.position = end + 1;
    return text;
  }

  private doubleQuoted(): string {
    this.position += 1;
    let text = "";
    for (;;) {
      if (this.position >= this.input.length)
        throw new Error("unexpected end of statement while looking for matching double-quote");
      const character = this.peek();
      if (character === '"') break;
      if (character === "$") text += this.variable();
      else if (
        character === this.escape &&
        '"$'.concat(this.escape).includes(this.input[this.position + 1] ?? "\0")
      ) {
        text += this.input[this.position + 1] ?? "";
        this.position += 2;
      } else {
        text += character;
        this.position += 1;
      }
    }
    this.position += 1;
    return text;
  }

  private variable(): string {
    this.position += 1;
    if (this.peek() === "{") return this.braced();
    const name = this.name();
    return name === "" ? "$" : this.value(name);
  }

  private name(): string {
    const match =
      /^(?:[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[*@#?$!-])/.exec(this.input.slice(this.position))?.[0] ??
      "";
    this.position += match.length;
    return match;
  }

  private value(name: string): string {
    const value = this.lookup(name);
    if (value === undefined) this.unset.add(name);
    return value ?? "";
  }

  private braced(): string {
    this.position += 1;
    const name = this.name();
    if (name === "")
      throw new Error(
        this.position >= this.input.length ? "syntax error: missing '}'" : "bad substitution",
      );
    const operator = /^(?::[-+?]|##|%%|\/\/|[-+?#%/}])/.exec(this.input.slice(this.position))?.[0];
    if (operator === undefined)
      // Go shows what stands for the end as a character that is none.
      throw new Error(`unsupported modifier (${this.peek() || "\uFFFD"}) in substitution`);
    this.position += operator.length;
    if (operator === "}") return this.value(name);
    const value = this.lookup(name);
    if (operator.startsWith("/")) return this.replaced(value ?? "", operator === "//");
    const word = this.closing();
    return this.modified(name, value, operator, word);
  }

  private closing(): string {
    const { text, stopped } = this.until("}");
    if (stopped === "") throw new Error("syntax error: missing '}'");
    this.position += 1;
    return text;
  }

  private modified(
    name: string,
    value: string | undefined,
    operator: string,
    word: string,
  ): string {
    const given = operator.startsWith(":")
      ? value !== undefined && value !== ""
      : value !== undefined;
    switch (operator) {
      case ":-":
      case "-":
        return given ? (value ?? "") : word;
      case ":+":
      case "+":
        return given ? word : "";
      case ":?":
      case "?":
        if (!given)
          throw new Error(`${name}: ${word === "" ? "is not allowed to be unset" : word}`);
        return value ?? "";
      default:
        return strip(value ?? "", operator, word);
    }
  }

  private replaced(value: string, all: boolean): string {
    const { text: pattern, stopped } = this.until("/}");
    if (stopped === "") throw new Error("syntax error: missing '}'");
    this.position += 1;
    const replacement = stopped === "/" ? this.closing() : "";
    return value.replace(
      new RegExp(globSource(pattern, true), all ? "gs" : "s"),
      () => replacement,
    );
  }

  private peek(): string {
    return this.input[this.position] ?? "";
  }
}

function strip(value: string, operator: string, pattern: string): string {
  const greedy = operator.length === 2;
  if (operator.startsWith("#"))
    return value.replace(new RegExp(`^${globSource(pattern, greedy)}`, "s"), "");
  const source = new RegExp(`^${globSource(pattern, true)}$`, "s");
  const starts = Array.from({ length: value.length + 1 }, (_, index) => index);
  const matching = (greedy ? starts : starts.reverse()).find((start) =>
    source.test(value.slice(start)),
  );
  return matching === undefined ? value : value.slice(0, matching);
}

/** `*` and `?` are wildcards; a backslash takes the next character as it is. */
function globSource(pattern: string, greedy: boolean): string {
  let source = "";
  for (let index = 0; index < pattern.length; index += 1) {
    const character = pattern[index] ?? "";
    if (character === "*") source += greedy ? ".*" : ".*?";
    else if (character === "?") source += ".";
    else {
      if (character === "\\" && index + 1 < pattern.length) index += 1;
      source += (pattern[index] ?? "").replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
    }
  }
  return source;
}
