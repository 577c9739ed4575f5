const escapes: Readonly<Record<string, string>> = {
  "\u0007": "\\a",
  "\b": "\\b",
  "\t": "\\t",
  "\n": "\\n",
  "\v": "\\v",
  "\f": "\\f",
  "\r": "\\r",
  '"': '\\"',
  "\\": "\\\\",
};

/** A text in quotes, as Go's `%q` writes it. */
export function goQuote(text: string): string {
  const shown = [...text].map((character) => {
    const code = character.codePointAt(0) ?? 0;
    const isPlain = /[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(character);
    return escapes[character] ?? (isPlain ? character : goEscape(code));
  });
  return `"${shown.join("")}"`;
}

/** The number of a character that is not printed: `\x00`, `\u00a0`, `\U0001f4a9`. */
function goEscape(code: number): string {
  const hex = (digits: number): string => code.toString(16).padStart(digits, "0");
  if (code < 0x80) return `\\x${hex(2)}`;
  return code < 0x10000 ? `\\u${hex(4)}` : `\\U${hex(8)}`;
}
