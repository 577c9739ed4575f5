/** Docker's filters for images. */
import { parsePointInTime } from "@gantry/config";
import { internal, invalidArgument } from "@gantry/errors";
import { familiarName, familiarRepository, parseReference } from "@gantry/oci";

/** Values by key, as the client sent them. */
export type Filters = ReadonlyMap<string, readonly string[]>;

/** Refuses keys that nobody knows. */
export function checkFilterKeys(filters: Filters, known: readonly string[]): void {
  for (const key of filters.keys()) {
    if (!known.includes(key)) throw invalidArgument(`invalid filter '${key}'`);
  }
}

const trueWords = new Set(["1", "true"]);
const falseWords = new Set(["0", "false"]);

/** A filter that is true or false. Undefined: not given. */
export function booleanFilter(filters: Filters, key: string): boolean | undefined {
  const values = filters.get(key) ?? [];
  if (values.length === 0) return undefined;
  const yes = values.every((value) => trueWords.has(value));
  const no = values.every((value) => falseWords.has(value));
  if (!yes && !no) throw invalidArgument(`invalid filter '${key}=[${values.join(" ")}]'`);
  return yes;
}

/** Whether labels have all wanted ones (`k` or `k=v`) and none of the unwanted. */
export function labelsMatch(labels: Readonly<Record<string, string>>, filters: Filters): boolean {
  const has = (wanted: string): boolean => {
    const equals = wanted.indexOf("=");
    const key = equals < 0 ? wanted : wanted.slice(0, equals);
    if (!Object.hasOwn(labels, key)) return false;
    return equals < 0 || labels[key] === wanted.slice(equals + 1);
  };
  return (
    (filters.get("label") ?? []).every(has) &&
    !(filters.get("label!") ?? []).some((each) => has(each))
  );
}

/** Whether a canonical name matches one of the patterns, in its familiar form, with or without tag. */
export function referenceMatches(name: string, patterns: readonly string[]): boolean {
  const reference = parseReference(name);
  const forms = [familiarName(reference), familiarRepository(reference), name, withoutTag(name)];
  return patterns.some((pattern) => {
    const regex = globRegex(pattern);
    return forms.some((form) => regex?.test(form));
  });
}

function withoutTag(name: string): string {
  return name.replace(/[:@][^/]*$/, "");
}

/** Go's path.Match as a regular expression. Undefined: a malformed pattern, which matches nothing. */
export function globRegex(pattern: string): RegExp | undefined {
  let source = "";
  for (let index = 0; index < pattern.length; index++) {
    const character = pattern.charAt(index);
    if (character === "*") source += "[^/]*";
    else if (character === "?") source += "[^/]";
    else if (character === "[") {
      const end = pattern.indexOf("]", index + 2);
      if (end < 0) return undefined;
      const body = pattern.slice(index + 1, end).replaceAll(/[\\\]]/g, "\\$&");
      source += `[${body}]`;
      index = end;
    } else if (character === "\\") {
      index += 1;
      if (index >= pattern.length) return undefined;
      source += escape(pattern.charAt(index));
    } else source += escape(character);
  }
  try {
    return new RegExp(`^${source}$`);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function escape(character: string): string {
  return /[\^$.|?*+()[\]{}\\/]/.test(character) ? `\\${character}` : character;
}

/**
 * The earliest moment of the `until` filters, nanoseconds. Undefined: not given. A bad value is Docker's
 * error of images alone, with status 500.
 */
export function untilFilter(filters: Filters, nowNano: bigint): bigint | undefined {
  let earliest: bigint | undefined;
  for (const text of filters.get("until") ?? []) {
    const moment = parsePointInTime(text, nowNano);
    // Containers and networks call it the caller's fault; images do not.
    if ("problem" in moment) throw internal(moment.problem);
    if (earliest === undefined || moment.nano < earliest) earliest = moment.nano;
  }
  return earliest;
}
