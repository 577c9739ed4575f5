/** JSON as Docker writes it: fields in a fixed order, integers of 64 bits exact. */

/** What can be encoded. Fields that are undefined are left out. */
export type JsonOut =
  | null
  | undefined
  | boolean
  | number
  | string
  | bigint
  | readonly JsonOut[]
  | { readonly [key: string]: JsonOut };

declare global {
  interface JSON {
    /** ECMAScript 2025: text that stringify copies as it is. */
    rawJSON(text: string): unknown;
  }
}

/** Encodes a value. bigint becomes a number with every digit. */
export function toJson(value: JsonOut): string {
  return JSON.stringify(value, exactIntegers);
}

function exactIntegers(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? JSON.rawJSON(String(value)) : value;
}

/** Go's default encoder also escapes what could end a script element: progress streams and events use it. */
export function toHtmlSafeJson(value: JsonOut): string {
  return toJson(value).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** A map with its keys sorted, as Go encodes it. */
export function sorted<V>(map: Readonly<Record<string, V>>): Record<string, V> {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Go's `omitempty` for a string. */
export const unlessEmpty = (text: string): string | undefined => (text === "" ? undefined : text);

/** An empty Go slice whose zero value is nil. */
export const nullIfEmpty = <T>(list: readonly T[]): readonly T[] | null =>
  list.length === 0 ? null : list;
