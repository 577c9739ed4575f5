/** What Go's JSON decoder says of a text that is no JSON: these are the words that clients get from Docker. */

/** The first value of a text. */
export interface ScannedJson {
  /** Where it ends. */
  readonly end: number;
  /** What is wrong, in Go's words; a text that ends too early has `unexpected EOF`, one of nothing `EOF`. */
  readonly problem?: string;
}

/** Finds the first value of a text. Whatever follows it is not looked at. */
export function scanJson(text: string): ScannedJson {
  if (/^[ \t\r\n]*$/.test(text)) return { end: 0, problem: "EOF" };
  const scanner = new Scanner(text);
  try {
    scanner.value();
    return { end: scanner.at };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { end: scanner.at, problem: error.message };
  }
}

/** As scanJson, but of a text that is to be one value and nothing else: Go's Unmarshal, and not its Decoder. */
export function wholeJsonProblem(text: string): string | undefined {
  const { end, problem } = scanJson(text);
  if (problem?.endsWith("EOF")) return "unexpected end of JSON input";
  const rest = text.slice(end).trimStart();
  if (problem !== undefined || rest === "") return problem;
  return `invalid character ${quoted(rest)} after top-level value`;
}

class Problem extends Error {}

const blank = /[ \t\r\n]*/y;
const plain = /[^"\\\u0000-\u001f]*/y;
const digits = /\d*/y;

class Scanner {
  at = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** Without recursion: a text may be nested as deep as it is long. */
  value(): void {
    const open: string[] = [];
    do {
      this.#skip(blank);
      const bracket = this.#text[this.at];
      if (bracket !== "{" && bracket !== "[") this.#scalar();
      else if (this.#opens(bracket)) {
        open.push(bracket);
        continue;
      }
      this.#close(open);
    } while (open.length > 0);
  }

  /** False: it is closed at once. */
  #opens(bracket: "{" | "["): boolean {
    this.at += 1;
    this.#skip(blank);
    if (this.#text[this.at] === (bracket === "{" ? "}" : "]")) {
      this.at += 1;
      return false;
    }
    if (bracket === "{") this.#key();
    return true;
  }

  /** After a value: up to where the next one begins. */
  #close(open: string[]): void {
    for (;;) {
      const bracket = open.at(-1);
      if (bracket === undefined) return;
      this.#skip(blank);
      const char = this.#text[this.at];
      if (char === ",") {
        this.at += 1;
        if (bracket === "{") this.#key();
        return;
      }
      if (char !== (bracket === "{" ? "}" : "]")) {
        throw this.#bad(bracket === "{" ? "after object key:value pair" : "after array element");
      }
      this.at += 1;
      open.pop();
    }
  }

  #key(): void {
    this.#skip(blank);
    if (this.#text[this.at] !== '"') throw this.#bad("looking for beginning of object key string");
    this.#string();
    this.#skip(blank);
    if (this.#text[this.at] !== ":") throw this.#bad("after object key");
    this.at += 1;
  }

  #scalar(): void {
    const char = this.#text[this.at] ?? "";
    if (char === '"') this.#string();
    else if (char === "t") this.#word("true");
    else if (char === "f") this.#word("false");
    else if (char === "n") this.#word("null");
    else if (/[-\d]/.test(char)) this.#number();
    else throw this.#bad("looking for beginning of value");
  }

  #string(): void {
    this.at += 1;
    for (;;) {
      this.#skip(plain);
      const char = this.#text[this.at];
      if (char === '"') break;
      if (char !== "\\") throw this.#bad("in string");
      const escape = /^\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/.exec(
        this.#text.slice(this.at, this.at + 6),
      );
      if (escape === null) throw this.#badEscape();
      this.at += escape[0].length;
    }
    this.at += 1;
  }

  #badEscape(): Problem {
    const length = this.#text[this.at + 1] === "u" ? 6 : 2;
    const escape = this.#text.slice(this.at, this.at + length);
    if (escape.length < length) return new Problem("unexpected EOF");
    return new Problem(`invalid escape sequence \`${escape}\` in string`);
  }

  #number(): void {
    if (this.#text[this.at] === "-") this.at += 1;
    if (this.#text[this.at] === "0") this.at += 1;
    else this.#digits();
    if (this.#text[this.at] === ".") {
      this.at += 1;
      this.#digits();
    }
    if (/[eE]/.test(this.#text[this.at] ?? "")) {
      this.at += 1;
      if (/[-+]/.test(this.#text[this.at] ?? "")) this.at += 1;
      this.#digits();
    }
  }

  #digits(): void {
    const start = this.at;
    this.#skip(digits);
    if (this.at === start) throw this.#bad("in numeric literal");
  }

  #word(word: string): void {
    for (const char of word) {
      if (this.#text[this.at] !== char) throw this.#bad(`in literal ${word} (expecting '${char}')`);
      this.at += 1;
    }
  }

  #skip(what: RegExp): void {
    what.lastIndex = this.at;
    what.test(this.#text);
    this.at = what.lastIndex;
  }

  #bad(where: string): Problem {
    const rest = this.#text.slice(this.at, this.at + 2);
    return new Problem(
      rest === "" ? "unexpected EOF" : `invalid character ${quoted(rest)} ${where}`,
    );
  }
}

const named: Readonly<Record<string, string>> = {
  "'": "\\'",
  "\\": "\\\\",
  "\u0007": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
};

/** The first character of a text as Go shows one. */
function quoted(text: string): string {
  const code = text.codePointAt(0) ?? 0;
  const char = String.fromCodePoint(code);
  const hex = code.toString(16);
  if (named[char] !== undefined) return `'${named[char]}'`;
  if (code < 0x20 || code === 0x7f) return `'\\x${hex.padStart(2, "0")}'`;
  if (!/\p{C}/u.test(char)) return `'${char}'`;
  return code < 0x10000 ? `'\\u${hex.padStart(4, "0")}'` : `'\\U${hex.padStart(8, "0")}'`;
}
