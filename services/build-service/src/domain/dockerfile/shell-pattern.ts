/** Patterns of `${name#pattern}` and its kin: `*`, `?` and escapes. */

type Token = "*" | "?" | { readonly character: string };

/** Without what the pattern matches at the front; the shortest, or the longest. Throws for wrong patterns. */
export function withoutPrefix(value: string, pattern: string, greedy: boolean): string {
  return cut(value, tokensOf(pattern), greedy);
}

/** Without what the pattern matches at the end. Throws for wrong patterns. */
export function withoutSuffix(value: string, pattern: string, greedy: boolean): string {
  // An expression finds the first place: seen from the end, that is the last.
  return reversed(cut(reversed(value), tokensOf(pattern).toReversed(), greedy));
}

/** With the first match, or all of them, replaced. Throws for wrong patterns. */
export function withReplaced(
  value: string,
  pattern: string,
  replacement: string,
  all: boolean,
): string {
  const expression = new RegExp(sourceOf(tokensOf(pattern), true), all ? "gu" : "u");
  return value.replace(expression, () => replacement);
}

function cut(value: string, tokens: readonly Token[], greedy: boolean): string {
  return value.replace(new RegExp(`^(?:${sourceOf(tokens, greedy)})`, "u"), "");
}

function sourceOf(tokens: readonly Token[], greedy: boolean): string {
  const sources = tokens.map((token) => {
    if (token === "*") return greedy ? "[^\\n]*" : "[^\\n]*?";
    if (token === "?") return "[^\\n]";
    return token.character.replace(/[\\^$.*+?()[\]{}|/]/, "\\$&");
  });
  return sources.join("");
}

function tokensOf(pattern: string): Token[] {
  const characters = [...pattern];
  const tokens: Token[] = [];
  for (let index = 0; index < characters.length; index += 1) {
    const character = characters[index] ?? "";
    if (character === "*" || character === "?") tokens.push(character);
    else if (character !== "\\") tokens.push({ character });
    else {
      const next = characters[index + 1] ?? "\uFFFD";
      // Of the braces' own characters the backslash is no part of the pattern.
      if (next === "}" || next === "/") continue;
      if (!["*", "?", "\\"].includes(next)) {
        throw new Error(`invalid pattern (${pattern}) in substitution: invalid escape '\\${next}'`);
      }
      tokens.push({ character: next });
      index += 1;
    }
  }
  return tokens;
}

const reversed = (text: string): string => [...text].toReversed().join("");
