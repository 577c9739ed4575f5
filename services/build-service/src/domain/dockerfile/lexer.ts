/**
 * Lines of a Dockerfile: parser directives, comments, continuations and heredocs
 * (https://docs.docker.com/reference/dockerfile/). What an instruction means is not decided here.
 */

import type { LineRange } from "./syntax-error.ts";
import { DockerfileSyntaxError } from "./syntax-error.ts";

/** Longest line that is read, in bytes, as BuildKit's. */
export const maxLineBytes = 64 * 1024;

/** One heredoc of an instruction. */
export interface Heredoc {
  /** Word after `<<`. */
  readonly name: string;
  /** Variables in the content are expanded (the name was not quoted). */
  readonly expand: boolean;
  /** The content, with leading tabs removed for `<<-`. */
  readonly content: string;
}

/** One instruction as text. */
export interface LogicalLine {
  /** First word, in upper case. */
  readonly keyword: string;
  /** What follows the first word, continuations joined, without the blanks around it. */
  readonly rest: string;
  /** The whole instruction as it is shown: continuations joined. */
  readonly original: string;
  readonly heredocs: readonly Heredoc[];
  readonly lines: LineRange;
  /** Comment lines since the instruction before it, without `# `. */
  readonly comments: readonly string[];
  /** An empty line stands among its continuations; the number of its last line, else undefined. */
  readonly emptyContinuation: number | undefined;
}

/** A Dockerfile in lines. */
export interface LexedDockerfile {
  /** Directives at the top, keys in lower case. */
  readonly directives: ReadonlyMap<string, string>;
  readonly lines: readonly LogicalLine[];
}

const directiveNames = new Set(["syntax", "escape", "check"]);
const directiveForm = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.*?)\s*$/;
const heredocForm = /(?<=^|\s)\d*<<(-?)(?:"([^"\s<]+)"|'([^'\s<]+)'|([^\s<"']+))/g;
const heredocKeywords = new Set(["RUN", "COPY", "ADD"]);

/** Splits a Dockerfile. Throws DockerfileSyntaxError. */
export function lexDockerfile(text: string): LexedDockerfile {
  if (text.length === 0) throw new DockerfileSyntaxError("the Dockerfile cannot be empty");
  const source = splitLines(text);
  const directives = readDirectives(source);
  const lines = [...readInstructions(source, escapeCharacter(directives))];
  if (lines.length === 0) throw new DockerfileSyntaxError("file with no instructions");
  return { directives, lines };
}

function splitLines(text: string): string[] {
  const lines = text.replace(/^\ufeff/, "").split(/\r?\n/);
  const long = lines.findIndex((line) => line.length > maxLineBytes);
  if (long >= 0)
    throw new DockerfileSyntaxError(
      `dockerfile line greater than max allowed size of ${String(maxLineBytes)}`,
      single(long),
    );
  return lines;
}

function readDirectives(source: readonly string[]): Map<string, string> {
  const directives = new Map<string, string>();
  for (const [index, line] of source.entries()) {
    if (index === 0 && line.startsWith("#!")) continue;
    const match = directiveForm.exec(line);
    const key = match?.[1]?.toLowerCase();
    if (key === undefined || !directiveNames.has(key)) break;
    if (directives.has(key))
      throw new DockerfileSyntaxError(
        `only one ${key} parser directive can be used`,
        single(index),
        { isForm: true },
      );
    directives.set(key, match?.[2] ?? "");
  }
  return directives;
}

function escapeCharacter(directives: ReadonlyMap<string, string>): string {
  const escape = directives.get("escape") ?? "\\";
  if (escape !== "\\" && escape !== "`")
    throw new DockerfileSyntaxError(`invalid escape token '${escape}' does not match \` or \\`);
  return escape;
}

function* readInstructions(source: readonly string[], escape: string): Generator<LogicalLine> {
  let comments: string[] = [];
  for (let index = 0; index < source.length; ) {
    const line = source[index] ?? "";
    if (isComment(line)) comments.push(line.trim().replace(/^#\s?/, ""));
    if (isComment(line) || line.trim() === "") {
      index += 1;
      continue;
    }
    const joined = joinContinuations(source, index, escape);
    const instruction = withHeredocs(source, index, joined, comments);
    yield instruction;
    comments = [];
    index = instruction.lines.last;
  }
}

/** Text of an instruction and the index of the line after it. */
interface Joined {
  readonly text: string;
  readonly next: number;
  readonly hasEmptyLine: boolean;
}

function joinContinuations(source: readonly string[], start: number, escape: string): Joined {
  // The escape character before the last one makes it a plain character.
  const continued = escape === "\\" ? /^(.*[^\\]|)\\[ \t]*$/ : /^(.*[^`]|)`[ \t]*$/;
  let text = "";
  let hasEmptyLine = false;
  let index = start;
  for (; index < source.length; index += 1) {
    const line = source[index] ?? "";
    if (index > start && (isComment(line) || line.trim() === "")) {
      hasEmptyLine ||= !isComment(line);
      continue;
    }
    const match = continued.exec(line);
    text += match === null ? line : (match[1] ?? "");
    if (match === null) return { text, next: index + 1, hasEmptyLine };
  }
  return { text, next: index, hasEmptyLine };
}

function withHeredocs(
  source: readonly string[],
  start: number,
  joined: Joined,
  comments: readonly string[],
): LogicalLine {
  const original = joined.text.trim();
  const [, word = "", rest = ""] = /^(\S+)\s*(.*)$/s.exec(original) ?? [];
  const keyword = word.toUpperCase();
  const heredocs: Heredoc[] = [];
  let next = joined.next;
  for (const { name, expand, stripTabs } of heredocsOf(keyword, rest)) {
    const body: string[] = [];
    for (;;) {
      if (next >= source.length)
        throw new DockerfileSyntaxError(
          "unterminated heredoc",
          { first: start + 1, last: next },
          { isForm: true },
        );
      const line = source[next] ?? "";
      next += 1;
      const shown = stripTabs ? line.replace(/^\t+/, "") : line;
      if (shown === name) break;
      body.push(`${shown}\n`);
    }
    heredocs.push({ name, expand, content: body.join("") });
  }
  const lines = { first: start + 1, last: next };
  const emptyContinuation = joined.hasEmptyLine ? joined.next : undefined;
  return { keyword, rest, original, heredocs, lines, comments, emptyContinuation };
}

function heredocsOf(
  keyword: string,
  rest: string,
): { name: string; expand: boolean; stripTabs: boolean }[] {
  const words = rest.split(/\s+/);
  const inner = keyword === "ONBUILD" ? (words[0] ?? "").toUpperCase() : keyword;
  if (!heredocKeywords.has(inner)) return [];
  return [...rest.matchAll(heredocForm)].map((match) => ({
    name: match[2] ?? match[3] ?? match[4] ?? "",
    expand: match[4] !== undefined,
    stripTabs: match[1] === "-",
  }));
}

function isComment(line: string): boolean {
  return /^\s*#/.test(line);
}

function single(index: number): LineRange {
  return { first: index + 1, last: index + 1 };
}
