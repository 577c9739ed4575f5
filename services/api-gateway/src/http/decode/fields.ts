/**
 * Reads a JSON object as Go reads it into a struct: unknown fields are ignored, names match whatever
 * their case, null means absent. Stricter in one thing: two spellings of one field are an error,
 * since a proxy in front may have judged the other one.
 */
import { invalidArgument } from "@gantry/errors";
import { goKind, JsonNumber, type JsonObject, type JsonValue } from "./json-value.ts";

const int64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

/** An object being read. */
export class Fields {
  readonly #object: JsonObject;
  readonly #path: string;
  readonly #goStruct: string;
  #folded: Map<string, string[]> | undefined;

  /** @param goStruct Docker's name of the struct, for complaints about texts, flags and maps in its words; empty: ours */
  constructor(object: JsonObject, path = "", goStruct = "") {
    this.#object = object;
    this.#path = path;
    this.#goStruct = goStruct;
  }

  /** The value itself; undefined when absent or null. */
  raw(name: string): JsonValue | undefined {
    const spellings = this.#spellings(name);
    if (spellings.length > 1) {
      const list = spellings.map((each) => JSON.stringify(each)).join(" and ");
      throw invalidArgument(`invalid JSON: ${list} are the same field ${this.#name(name)}`);
    }
    return spellings[0] === undefined ? undefined : (this.#object.get(spellings[0]) ?? undefined);
  }

  get isEmpty(): boolean {
    return this.#object.size === 0;
  }

  has(name: string): boolean {
    return this.raw(name) !== undefined;
  }

  optText(name: string): string | undefined {
    const value = this.raw(name);
    if (value === undefined || typeof value === "string") return value;
    throw this.#mismatch(name, "a string", value, "string");
  }

  text(name: string): string {
    return this.optText(name) ?? "";
  }

  optFlag(name: string): boolean | undefined {
    const value = this.raw(name);
    if (value === undefined || typeof value === "boolean") return value;
    throw this.#mismatch(name, "a boolean", value, "bool");
  }

  flag(name: string): boolean {
    return this.optFlag(name) ?? false;
  }

  /** An integer of 64 bits, or of the range given. */
  optInteger(name: string, range: { min: bigint; max: bigint } = int64): bigint | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (!(value instanceof JsonNumber) || !/^-?\d+$/.test(value.text)) {
      throw this.#mismatch(name, "an integer", value);
    }
    const number = value.text.length > 20 ? undefined : BigInt(value.text);
    if (number === undefined || number < range.min || number > range.max) {
      throw invalidArgument(`invalid JSON: ${this.#name(name)}: ${value.text} is out of range`);
    }
    return number;
  }

  integer(name: string): bigint {
    return this.optInteger(name) ?? 0n;
  }

  /** An integer of 32 bits as a number. */
  optSmall(name: string): number | undefined {
    const value = this.optInteger(name, { min: -(2n ** 31n), max: 2n ** 31n - 1n });
    return value === undefined ? undefined : Number(value);
  }

  small(name: string): number {
    return this.optSmall(name) ?? 0;
  }

  /** An unsigned integer of `bits` bits. */
  unsigned(name: string, bits = 64): bigint {
    return this.optInteger(name, { min: 0n, max: 2n ** BigInt(bits) - 1n }) ?? 0n;
  }

  list(name: string): JsonValue[] | undefined {
    const value = this.raw(name);
    if (value === undefined || Array.isArray(value)) return value;
    throw this.#mismatch(name, "an array", value);
  }

  /** Strings; undefined when absent or null. */
  texts(name: string): string[] | undefined {
    return this.list(name)?.map((each) => this.#asText(name, each));
  }

  /** Strings, or one string that stands for a list of one (Go's StrSlice). */
  oneOrMoreTexts(name: string): string[] | undefined {
    const value = this.raw(name);
    return typeof value === "string" ? [value] : this.texts(name);
  }

  /** Numbers that fit 32 unsigned bits. */
  sizes(name: string): number[] | undefined {
    return this.list(name)?.map((each) => {
      if (each instanceof JsonNumber && /^\d{1,9}$/.test(each.text)) return Number(each.text);
      throw this.#mismatch(name, "an array of small numbers", each);
    });
  }

  object(name: string): Fields | undefined {
    const map = this.map(name);
    return map === undefined ? undefined : new Fields(map, this.#name(name), this.#goStruct);
  }

  objects(name: string): Fields[] {
    return (this.list(name) ?? [])
      .filter((each) => each !== null)
      .map((each) => this.#asFields(name, each));
  }

  /** A Go slice of structs: null is one without any field. */
  structs(name: string): Fields[] {
    return (this.list(name) ?? []).map((each) => this.#asFields(name, each ?? new Map()));
  }

  /** A Go map: keys are data, and their case counts. */
  map(name: string): JsonObject | undefined {
    const value = this.raw(name);
    if (value === undefined || value instanceof Map) return value;
    throw this.#mismatch(name, "an object", value);
  }

  /** Keys of a map whose values don't matter (Go's set). */
  keys(name: string): string[] | undefined {
    const map = this.map(name);
    return map === undefined ? undefined : [...map.keys()];
  }

  textMap(name: string): Record<string, string> | undefined {
    const map = this.raw(name);
    if (map === undefined) return undefined;
    if (!(map instanceof Map)) throw this.#mismatch(name, "an object", map, "map[string]string");
    const entries = [...map].map(([key, value]) => {
      if (typeof value === "string" || value === null) return [key, value ?? ""] as const;
      const where = this.#goStruct === "" ? name : `${name}.${key}`;
      throw this.#mismatch(where, "a string", value, "string");
    });
    return Object.fromEntries(entries);
  }

  /** A map of objects; null values are kept as undefined. */
  objectMap(name: string): [key: string, fields: Fields | undefined][] {
    return [...(this.map(name) ?? [])].map(([key, value]) => [
      key,
      value === null ? undefined : this.#asFields(`${name}.${key}`, value),
    ]);
  }

  /** A map of lists of structs; null counts as an empty list, and in a list as a struct without any field. */
  objectListMap(name: string): [key: string, list: Fields[]][] {
    return [...(this.map(name) ?? [])].map(([key, value]) => {
      if (value === null) return [key, []];
      if (!Array.isArray(value)) throw this.#mismatch(`${name}.${key}`, "an array", value);
      return [
        key,
        value.map((each) => this.#asFields(`${name}.${key}`, each ?? new Map<string, never>())),
      ];
    });
  }

  #asText(name: string, value: JsonValue): string {
    if (typeof value === "string") return value;
    if (value === null) return "";
    throw this.#mismatch(name, "a string", value);
  }

  #asFields(name: string, value: JsonValue): Fields {
    if (value instanceof Map) return new Fields(value, this.#name(name));
    throw this.#mismatch(name, "an object", value);
  }

  #spellings(name: string): readonly string[] {
    this.#folded ??= foldKeys(this.#object);
    return this.#folded.get(fold(name)) ?? [];
  }

  #name(name: string): string {
    return this.#path === "" ? name : `${this.#path}.${name}`;
  }

  #mismatch(name: string, wanted: string, value: JsonValue, goType = ""): Error {
    if (this.#goStruct !== "" && goType !== "") {
      return invalidArgument(
        `invalid JSON: json: cannot unmarshal ${goKind(value)} into Go struct field ${this.#goStruct}.${this.#name(name)} of type ${goType}`,
      );
    }
    return invalidArgument(
      `invalid JSON: ${this.#name(name)}: expected ${wanted}, got ${kindOf(value)}`,
    );
  }
}

function foldKeys(object: JsonObject): Map<string, string[]> {
  const folded = new Map<string, string[]>();
  for (const key of object.keys()) {
    const word = fold(key);
    const list = folded.get(word);
    if (list === undefined) folded.set(word, [key]);
    else list.push(key);
  }
  return folded;
}

/** Go's folding also takes the long s for s and the Kelvin sign for k; upper case first does both. */
function fold(name: string): string {
  return name.toUpperCase().toLowerCase();
}

/** A JSON value's kind in words, for errors. */
export function kindOf(value: JsonValue): string {
  if (value === null) return "null";
  if (value instanceof JsonNumber) return `number ${value.text}`;
  if (value instanceof Map) return "object";
  return Array.isArray(value) ? "array" : typeof value;
}
