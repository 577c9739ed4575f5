/**
 * A bounded JSON parser. The built-in one can't bound depth and number of values, rounds big integers,
 * and lets the last of two equal keys win in silence; a request body is input of unknown intent.
 */
import { invalidArgument } from "@gantry/errors";
import { scanJson } from "@gantry/oci";

/** A number as it was written: integers keep every digit. */
export class JsonNumber {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** A JSON object, in the order of the text. A Map, so that `__proto__` is a key like any other. */
export type JsonObject = Map<string, JsonValue>;

/** A JSON value. */
export type JsonValue = null | boolean | string | JsonNumber | JsonValue[] | JsonObject;

/** Limits of one document. */
export interface JsonLimits {
  /** Arrays and objects inside each other. */
  readonly depth: number;
  /** Values in all. */
  readonly values: number;
}

/** A container that publishes each of its 65,535 ports is described by 330,000 values. */
const defaultLimits: JsonLimits = { depth: 64, values: 1_000_000 };

/** How to parse. */
export interface JsonOptions {
  readonly limits?: JsonLimits;
  /** Docker's words in front of what is wrong. Default `invalid JSON`. */
  readonly problem?: string;
  /** Whether the text is a stream to Docker, whose decoder takes no closing bracket behind a value for more of it. */
  readonly stream?: boolean;
}

/** Parses one document. Throws invalid_argument, with Docker's words in front. */
export function parseJson(text: string, options: JsonOptions = {}): JsonValue {
  const { limits = defaultLimits, problem = "invalid JSON", stream = false } = options;
  const parser = new Parser(text, limits, problem);
  const value = parser.value(0);
  parser.end(stream);
  return value;
}

const numberForm = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const plainString = /[^"\\\u0000-\u001f]*/y;
const blank = /[ \t\n\r]*/y;

class Parser {
  readonly #text: string;
  readonly #limits: JsonLimits;
  readonly #problem: string;
  #at = 0;
  #values = 0;

  constructor(text: string, limits: JsonLimits, problem: string) {
    this.#text = text;
    this.#limits = limits;
    this.#problem = problem;
  }

  value(depth: number): JsonValue {
    this.#skipBlank();
    if (++this.#values > this.#limits.values) throw this.#invalid("too many values");
    const char = this.#text[this.#at];
    switch (char) {
      case "{":
        return this.#object(depth + 1);
      case "[":
        return this.#array(depth + 1);
      case '"':
        return this.#string();
      case "t":
        return this.#word("true", true);
      case "f":
        return this.#word("false", false);
      case "n":
        return this.#word("null", null);
      default:
        return this.#number();
    }
  }

  end(stream: boolean): void {
    this.#skipBlank();
    if (stream && /[}\]]/.test(this.#text[this.#at] ?? "")) return;
    if (this.#at < this.#text.length) throw invalidArgument("unexpected content after JSON");
  }

  #object(depth: number): JsonObject {
    this.#checkDepth(depth);
    const object: JsonObject = new Map();
    this.#at++;
    if (this.#closes("}")) return object;
    do {
      this.#skipBlank();
      if (this.#text[this.#at] !== '"') throw this.#unexpected();
      const key = this.#string();
      if (object.has(key)) throw this.#invalid(`duplicate key ${JSON.stringify(key)}`);
      this.#skipBlank();
      if (this.#text[this.#at] !== ":") throw this.#unexpected();
      this.#at++;
      object.set(key, this.value(depth));
    } while (this.#continues("}"));
    return object;
  }

  #array(depth: number): JsonValue[] {
    this.#checkDepth(depth);
    const array: JsonValue[] = [];
    this.#at++;
    if (this.#closes("]")) return array;
    do array.push(this.value(depth));
    while (this.#continues("]"));
    return array;
  }

  #checkDepth(depth: number): void {
    if (depth > this.#limits.depth) throw this.#invalid("nested too deeply");
  }

  #closes(bracket: string): boolean {
    this.#skipBlank();
    if (this.#text[this.#at] !== bracket) return false;
    this.#at++;
    return true;
  }

  /** After a member: true at a comma, false at the closing bracket. */
  #continues(bracket: string): boolean {
    if (this.#closes(bracket)) return false;
    if (this.#text[this.#at] !== ",") throw this.#unexpected();
    this.#at++;
    return true;
  }

  #string(): string {
    const start = this.#at++;
    plainString.lastIndex = this.#at;
    plainString.test(this.#text);
    this.#at = plainString.lastIndex;
    if (this.#text[this.#at] === '"') return this.#text.slice(start + 1, this.#at++);
    return this.#escaped(start);
  }

  /** A string with escapes: its end is found here, its meaning by the built-in parser. */
  #escaped(start: number): string {
    while (this.#text[this.#at] === "\\") {
      this.#at += 2;
      plainString.lastIndex = this.#at;
      plainString.test(this.#text);
      this.#at = plainString.lastIndex;
    }
    if (this.#text[this.#at] !== '"') throw this.#unexpected();
    this.#at++;
    const literal = this.#text.slice(start, this.#at);
    try {
      return JSON.parse(literal) as string;
    } catch (error) {
      throw this.#unexpected(error);
    }
  }

  #number(): JsonNumber {
    numberForm.lastIndex = this.#at;
    const match = numberForm.exec(this.#text);
    if (match === null) throw this.#unexpected();
    this.#at = numberForm.lastIndex;
    return new JsonNumber(match[0]);
  }

  #word<T extends JsonValue>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#unexpected();
    this.#at += word.length;
    return value;
  }

  #skipBlank(): void {
    // Most values follow their predecessor directly.
    if (this.#text.charCodeAt(this.#at) > 0x20) return;
    blank.lastIndex = this.#at;
    blank.test(this.#text);
    this.#at = blank.lastIndex;
  }

  /** In the words of Go's decoder. */
  #unexpected(cause?: unknown): Error {
    const { problem = "" } = scanJson(this.#text);
    return this.#invalid(problem.endsWith("EOF") ? "unexpected end of JSON input" : problem, cause);
  }

  #invalid(what: string, cause?: unknown): Error {
    return invalidArgument(`${this.#problem}: ${what}`, { cause });
  }
}

/** What Go's decoder calls a value that is of another type than it wants. */
export function goKind(value: JsonValue): string {
  if (Array.isArray(value)) return "array";
  if (value instanceof JsonNumber) return "number";
  if (typeof value === "boolean") return "bool";
  return typeof value === "string" ? "string" : "object";
}
