/** Docker's filters: `{"key":["value"]}` or `{"key":{"value":true}}`. */
import { invalidArgument, isEngineError } from "@gantry/errors";
import type { Query } from "../query.ts";
import { type JsonValue, parseJson } from "./json-value.ts";

/** Values by key. */
export type Filters = ReadonlyMap<string, readonly string[]>;

/** The `filters` of a query; keys other than these are refused with Docker's words. */
export function readFilters(query: Query, keys: ReadonlySet<string>): Filters {
  const filters = readAnyFilters(query);
  for (const key of filters.keys()) {
    if (!keys.has(key)) throw invalidArgument(`invalid filter '${key}'`);
  }
  return filters;
}

/** The `filters` of a query, whatever its keys. */
export function readAnyFilters(query: Query): Filters {
  return parseFilters(query.text("filters"));
}

/** The shape that all services take. */
export function filterSet(filters: Filters): { filters: Record<string, { values: string[] }> } {
  const entries = [...filters].map(([key, values]): [string, { values: string[] }] => [
    key,
    { values: [...values] },
  ]);
  return { filters: Object.fromEntries(entries) };
}

function parseFilters(text: string): Filters {
  if (text === "") return new Map();
  const parsed = parse(text);
  if (parsed === null) return new Map();
  if (!(parsed instanceof Map)) throw invalidArgument("invalid filter");
  return new Map([...parsed].map(([key, value]) => [key, valuesOf(value)]));
}

function parse(text: string): JsonValue {
  try {
    return parseJson(text);
  } catch (error) {
    if (isEngineError(error)) throw invalidArgument("invalid filter", { cause: error });
    throw error;
  }
}

function valuesOf(value: JsonValue): string[] {
  if (value === null) return [];
  if (Array.isArray(value)) {
    return value.map((each) => {
      if (typeof each === "string") return each;
      throw invalidArgument("invalid filter");
    });
  }
  // A value that maps to false still counts in Docker: only the key is looked at.
  if (value instanceof Map) return [...value.keys()];
  throw invalidArgument("invalid filter");
}
