/** containerd's filter expressions over records of the cache. */
import { invalidArgument } from "@gantry/errors";
import type { CacheRecord } from "../../ports/build.ts";

/** Whether a record is meant. */
export type RecordFilter = (record: CacheRecord) => boolean;

const term = /^(\w+)(?:(==|!=|~=|=)(.*))?$/s;

/** Entries are alternatives; in an entry, all that commas separate must hold. Throws for bad grammar. */
export function recordFilter(filters: readonly string[]): RecordFilter {
  const given = filters.filter((filter) => filter !== "");
  if (given.length === 0) return () => true;
  const alternatives = given.map((filter) => {
    const terms = filter.split(",").map(parseTerm);
    return (record: CacheRecord) => terms.every((matches) => matches(record));
  });
  return (record) => alternatives.some((matches) => matches(record));
}

function parseTerm(text: string): RecordFilter {
  const match = term.exec(text.trim());
  if (match === null) throw invalidArgument(`failed to parse prune filters: ${text}`);
  const [, field = "", operator, raw = ""] = match;
  const read = fields.get(field);
  if (read === undefined) return () => false;
  const value = raw.replace(/^"(.*)"$/s, "$1");
  switch (operator) {
    case undefined:
      return (record) => read(record).some((each) => each !== "");
    case "!=":
      return (record) => !read(record).includes(value);
    case "~=": {
      const pattern = expressionOf(value);
      return (record) => read(record).some((each) => pattern.test(each));
    }
    default:
      return (record) => read(record).includes(value);
  }
}

function expressionOf(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw invalidArgument(`failed to parse prune filters: ${text}`, { cause: error });
  }
}

const flag = (value: boolean): string[] => (value ? ["true"] : [""]);

const fields: ReadonlyMap<string, (record: CacheRecord) => readonly string[]> = new Map([
  ["id", (each: CacheRecord) => [each.id]],
  ["parents", (each: CacheRecord) => each.parents],
  ["description", (each: CacheRecord) => [each.description]],
  ["inuse", (each: CacheRecord) => flag(each.inUse)],
  ["mutable", (each: CacheRecord) => flag(each.mutable)],
  ["immutable", (each: CacheRecord) => flag(!each.mutable)],
  ["shared", (each: CacheRecord) => flag(each.shared)],
  ["private", (each: CacheRecord) => flag(!each.shared)],
  ["type", (each: CacheRecord) => [each.type]],
]);
