/** Fields of RUN --mount: comma-separated values, as Go's package csv reads them. */

const fieldForm = /(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g;

/** Throws Error for what is no such list. */
export function mountWords(text: string): string[] {
  if (text === "") throw new Error("failed to parse csv mounts: EOF");
  return [...text.matchAll(fieldForm)].map(([, quoted, plain = ""]) => {
    if (quoted !== undefined) return quoted.replaceAll('""', '"');
    const quote = plain.indexOf('"');
    if (quote < 0) return plain;
    const column = text.indexOf(plain) + quote + 1;
    const reason =
      quote === 0 ? 'extraneous or missing " in quoted-field' : 'bare " in non-quoted field';
    throw new Error(
      `failed to parse csv mounts: parse error on line 1, column ${String(column)}: ${reason}`,
    );
  });
}

/** What a mount takes from; empty: nothing. Throws Error where it would have to be expanded. */
export function mountFrom(mount: string): string {
  let from = "";
  for (const field of mountWords(mount)) {
    const [, key = "", value = ""] = /^([^=]*)=(.*)$/s.exec(field) ?? [];
    if (key.toLowerCase() !== "from") continue;
    if (/\$./.test(value))
      throw new Error("'from' doesn't support variable expansion, define alias stage instead");
    from = value;
  }
  return from;
}
