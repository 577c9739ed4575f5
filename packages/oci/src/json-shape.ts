/**
 * Small parsers that make typed values of JSON. Each takes a value and where it stands
 * (`process.args[0]`) and either returns it typed or throws invalid_argument naming the place.
 * Members that a shape does not name are passed over, as the OCI specifications demand.
 */
import { invalidArgument } from "@gantry/errors";

/** Makes a T of a JSON value, or throws invalid_argument. */
export type Parse<T> = (value: unknown, at: string) => T;

/** An integer; beyond 2^53 it is a bigint, so that nothing is rounded. */
export type Integer = number | bigint;

/** What a parser gives. */
export type Parsed<P> = P extends Parse<infer T> ? T : never;

type Shape = Readonly<Record<string, Parse<unknown>>>;

type ObjectOf<Required extends Shape, Optional extends Shape> = {
  readonly [Key in keyof Required]: Parsed<Required[Key]>;
} & { readonly [Key in keyof Optional]?: Parsed<Optional[Key]> };

function wrong(at: string, expected: string): never {
  throw invalidArgument(`${at === "" ? "document" : at}: must be ${expected}`);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export const string: Parse<string> = (value, at) =>
  typeof value === "string" ? value : wrong(at, "a string");

export const boolean: Parse<boolean> = (value, at) =>
  typeof value === "boolean" ? value : wrong(at, "true or false");

/** An integer that a number holds exactly. */
export const integer: Parse<number> = (value, at) =>
  Number.isSafeInteger(value) ? (value as number) : wrong(at, "an integer");

/** Any 64-bit integer. */
export const bigInteger: Parse<Integer> = (value, at) =>
  typeof value === "bigint" || Number.isInteger(value)
    ? (value as Integer)
    : wrong(at, "an integer");

export function oneOf<const T extends string>(...words: readonly T[]): Parse<T> {
  return (value, at) =>
    words.find((word) => word === value) ?? wrong(at, `one of ${words.join(", ")}`);
}

export function list<T>(item: Parse<T>): Parse<readonly T[]> {
  return (value, at) =>
    Array.isArray(value)
      ? value.map((each: unknown, index) => item(each, `${at}[${String(index)}]`))
      : wrong(at, "a list");
}

export function record<T>(item: Parse<T>): Parse<Readonly<Record<string, T>>> {
  return (value, at) =>
    isRecord(value)
      ? Object.fromEntries(
          Object.entries(value).map(([key, each]) => [key, item(each, `${at}.${key}`)]),
        )
      : wrong(at, "an object");
}

/** An object with some members required; null stands for absent in the others, as Go writes it. */
export function object<Required extends Shape, Optional extends Shape>(
  required: Required,
  optional: Optional,
): Parse<ObjectOf<Required, Optional>> {
  return (value, at) => {
    if (!isRecord(value)) return wrong(at, "an object");
    const result: Record<string, unknown> = {};
    for (const [key, parse] of Object.entries(required))
      result[key] = parse(value[key], join(at, key));
    for (const [key, parse] of Object.entries(optional)) {
      const member = value[key];
      if (member !== undefined && member !== null) result[key] = parse(member, join(at, key));
    }
    return result as ObjectOf<Required, Optional>;
  };
}

function join(at: string, key: string): string {
  return at === "" ? key : `${at}.${key}`;
}

/** 2^53 has sixteen digits. */
const maybeLarge = /\d{16}/;

/** JSON.parse that keeps integers beyond 2^53 as bigint. Throws invalid_argument. */
export function parseExactJson(text: string, what: string): unknown {
  try {
    // A reviver makes parsing many times slower, and hardly any document has such a number.
    return maybeLarge.test(text) ? JSON.parse(text, keepIntegers) : JSON.parse(text);
  } catch (error) {
    throw invalidArgument(`${what} is not valid JSON`, { cause: error });
  }
}

function keepIntegers(_key: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  if (typeof value !== "number" || source === undefined) return value;
  return !Number.isSafeInteger(value) && /^-?\d+$/.test(source) ? BigInt(source) : value;
}
