/** Filters of `docker builder prune`. */
import { parsePointInTime } from "@gantry/config";
import { invalidArgument, isEngineError } from "@gantry/errors";
import type { CacheRecord } from "../ports/build.ts";

/** One value each. */
const single = [
  ...["until", "unused-for", "id", "parent", "type", "description", "inuse", "shared", "private"],
];

/** `docker system prune` sends them to all that it prunes. The cache has no labels, and goes whatever they say. */
const passedOver = ["label", "label!"];

/** What a set of filters selects. */
export interface RecordFilters {
  readonly matches: (record: CacheRecord) => boolean;
  readonly keepDurationMs: number;
}

/** As compileRecordFilters, in the words that who asked for the prune is told. */
export function compilePruneFilters(
  filters: ReadonlyMap<string, readonly string[]>,
  nowMs: number,
): RecordFilters {
  try {
    return compileRecordFilters(filters, nowMs);
  } catch (error) {
    if (!isEngineError(error)) throw error;
    throw invalidArgument(`failed to prune build cache: ${error.message}`, { cause: error });
  }
}

/** What a set of filters means. Throws invalid_argument. @param nowMs what ages are counted from */
export function compileRecordFilters(
  filters: ReadonlyMap<string, readonly string[]>,
  nowMs: number,
): RecordFilters {
  for (const [key, values] of filters) {
    if (passedOver.includes(key)) continue;
    if (!single.includes(key)) throw invalidArgument(`invalid filter '${key}'`);
    if (values.length > 1) throw invalidArgument("filters expect only one value");
  }
  const [until, second] = [filters.get("until"), filters.get("unused-for")].flatMap(
    (values) => values ?? [],
  );
  if (second !== undefined) throw invalidArgument("filters expect only one value");
  const keepDurationMs = until === undefined ? 0 : ageMs(until, nowMs);
  const tests = [...filters].flatMap(([key, values]) => values.map((value) => testOf(key, value)));
  return { keepDurationMs, matches: (record) => tests.every((test) => test(record)) };
}

/** How long ago a time was, or the time that the text itself says. */
function ageMs(text: string, nowMs: number): number {
  const nowNano = BigInt(nowMs) * 1_000_000n;
  const point = parsePointInTime(text, nowNano);
  if ("nano" in point) return Number((nowNano - point.nano) / 1_000_000n);
  throw invalidArgument(
    `"until" filter expects a duration (e.g., '24h') or a timestamp: ${point.problem}`,
  );
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
