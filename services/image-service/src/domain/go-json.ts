/** What Go's JSON decoder says of a text that is no JSON, in the words that clients get from Docker. */

/** Undefined: it is JSON. */
export function jsonProblem(text: string): string | undefined {
  if (text.trim() === "") return "EOF";
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return problemOf(text, error.message);
  }
}

function problemOf(text: string, message: string): string {
  const start = text.search(/\S/);
  const first = text.charAt(start);
  if (!/[[{"\-\dtfn]/.test(first)) {
    return `invalid character ${quoted(first)} looking for beginning of value`;
  }
  const position = Number(/at position (\d+)/.exec(message)?.[1] ?? text.length);
  if (position >= text.trimEnd().length) return "unexpected EOF";
  return `invalid character ${quoted(text.charAt(position))} in JSON`;
}

function quoted(character: string): string {
  if (character === "'") return "'\\''";
  return character === '"' ? "'\"'" : `'${JSON.stringify(character).slice(1, -1)}'`;
}

/** What Go calls a JSON value's type. */
export function goKind(value: unknown): string {
  if (Array.isArray(value)) return "array";
  return typeof value === "boolean" ? "bool" : typeof value;
}
