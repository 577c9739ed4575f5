/** JSON with 64-bit integers written in full: bigints are numbers there, not strings. */

/** ECMAScript's JSON.rawJSON, which the library types do not have yet. */
const { rawJSON } = JSON as typeof JSON & { rawJSON(text: string): unknown };

export function exactJson(value: unknown): string {
  return JSON.stringify(value, (_key, each: unknown) =>
    typeof each === "bigint" ? rawJSON(each.toString()) : each,
  );
}
