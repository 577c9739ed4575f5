/** Parser directives: comments at the top of a Dockerfile, `# escape=`. */
import type { LineRange } from "./syntax-error.ts";
import { DockerfileSyntaxError } from "./syntax-error.ts";

const names = new Set(["syntax", "escape", "check"]);
const form = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/;

/** Directives of a text, keys in lower case; also behind a first line `#!`. Of those given twice the first counts. */
export function readDirectives(text: string): Map<string, string> {
  const [first = "", ...others] = text.replace(/^\ufeff/, "").split(/\r?\n/);
  const directives = new Map<string, string>();
  for (const line of first.startsWith("#!") ? others : [first, ...others]) {
    const directive = directiveOf(line);
    if (directive === undefined || directives.has(directive.name)) break;
    directives.set(directive.name, directive.value);
  }
  return directives;
}

/** What the parser makes of them. Throws DockerfileSyntaxError. @returns how many lines they are, and the escape character */
export function openingDirectives(lines: readonly string[]): {
  readonly escape: string;
  readonly count: number;
} {
  const seen = new Set<string>();
  let escape = "\\";
  for (const line of lines) {
    const directive = directiveOf(line.trimStart());
    if (directive === undefined) break;
    const { name, value } = directive;
    const count = seen.size;
    if (seen.has(name)) throw wrong(`only one ${name} parser directive can be used`, count);
    if (name === "escape") {
      if (value !== "\\" && value !== "`")
        throw wrong(`invalid escape token '${value}' does not match \` or \\`, count);
      escape = value;
    }
    seen.add(name);
  }
  return { escape, count: seen.size };
}

function directiveOf(line: string): { readonly name: string; readonly value: string } | undefined {
  const [, key = "", value = ""] = form.exec(line) ?? [];
  const name = key.toLowerCase();
  return names.has(name) ? { name, value } : undefined;
}

/** BuildKit places it on the line before. */
function wrong(message: string, before: number): DockerfileSyntaxError {
  const lines: LineRange | undefined = before === 0 ? undefined : { first: before, last: before };
  return new DockerfileSyntaxError(message, lines, { isForm: true });
}
