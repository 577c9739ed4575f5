/** Filters of `docker builder prune`. */
import { invalidArgument } from "@gantry/errors";
import { parseGoDuration } from "../domain/dockerfile/words.ts";
import type { CacheRecord } from "../ports/build.ts";

const known = [
  ...["until", "unused-for", "id", "parent", "type", "description", "inuse", "shared", "private"],
];

/** What a set of filters means. Throws invalid_argument. */
export function compileRecordFilters(filters: ReadonlyMap<string, readonly string[]>): {
  readonly matches: (record: CacheRecord) => boolean;
  readonly keepDurationMs: number;
} {
  for (const key of filters.keys()) {
    if (!known.includes(key)) throw invalidArgument(`invalid filter '${key}'`);
  }
  const until = [...(filters.get("until") ?? []), ...(filters.get("unused-for") ?? [])];
  if (until.length > 1) throw invalidArgument("filters expect only one value: until");
  const keepDurationMs = until[0] === undefined ? 0 : durationMs(until[0]);
  const tests = [...filters].flatMap(([key, values]) => values.map((value) => testOf(key, value)));
  return { keepDurationMs, matches: (record) => tests.every((test) => test(record)) };
}

function durationMs(text: string): number {
  try {
    return parseGoDuration(text) / 1e6;
  } catch (error) {
    throw invalidArgument(`${text}: ${error instanceof Error ? error.message : ""}`, {
      cause: error,
    });
  }
}

function testOf(key: string, value: string): (record: CacheRecord) => boolean {
  switch (key) {
    case "id":
      return ({ id }) => id.startsWith(value);
    case "parent":
      return ({ parents }) => parents.some((parent) => parent.startsWith(value));
    case "type":
      return ({ type }) => type === value;
    case "description":
      return ({ description }) => description.includes(value);
    case "inuse":
      return ({ inUse }) => inUse === truth(value);
    case "shared":
      return ({ shared }) => shared === truth(value);
    case "private":
      return ({ shared }) => shared !== truth(value);
    default:
      return () => true;
  }
}

function truth(value: string): boolean {
  return value === "" || value === "1" || value.toLowerCase() === "true";
}
