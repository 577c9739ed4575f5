/**
 * Lines of a Dockerfile: parser directives, comments, continuations and heredocs
 * (https://docs.docker.com/reference/dockerfile/). What an instruction means is not decided here.
 */

import { openingDirectives, readDirectives } from "./directives.ts";
import { heredocMarks } from "./heredocs.ts";
import type { LineRange } from "./syntax-error.ts";
import { DockerfileSyntaxError } from "./syntax-error.ts";
import { splitInstruction } from "./words.ts";

/** Longest line that is read, its end included, in bytes. */
const maxLineBytes = 64 * 1024;

/** One heredoc of an instruction. */
export interface Heredoc {
  /** Word after `<<`. */
  readonly name: string;
  /** Variables in the content are expanded (the name was not quoted). */
  readonly expand: boolean;
  /** The content, with leading tabs removed for `<<-`. */
  readonly content: string;
  /** The content as it stands. */
  readonly raw: string;
}

/** One instruction as text. */
export interface LogicalLine {
  /** First word, as written. */
  readonly word: string;
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
  /** The file's escape character. */
  readonly escape: string;
}

/** A Dockerfile in lines. */
export interface LexedDockerfile {
  /** Directives at the top, keys in lower case. */
  readonly directives: ReadonlyMap<string, string>;
  readonly lines: readonly LogicalLine[];
}

/** Splits a Dockerfile. Throws DockerfileSyntaxError. */
export function lexDockerfile(text: string): LexedDockerfile {
  return { directives: readDirectives(text), lines: [...logicalLines(text)] };
}

/** The instructions one by one, each before what follows it is looked at. Throws DockerfileSyntaxError. */
export function* logicalLines(text: string): Generator<LogicalLine> {
  if (text.length === 0) throw new DockerfileSyntaxError("the Dockerfile cannot be empty");
  const all = splitLines(text);
  const long = all.findIndex(({ raw }) => Buffer.byteLength(raw) > maxLineBytes);
  // What stands before a line that is too long is read as if it were all there is.
  const source = long < 0 ? all : all.slice(0, long);
  const { escape, count } = openingDirectives(source.map(({ line }) => line));
  let comments: string[] = [];
  let hasInstruction = false;
  for (let index = 0; index < source.length; ) {
    const { line } = source[index] ?? noLine;
    if (isComment(line)) {
      const comment = line.slice(1).trim();
      if (comment === "") comments = [];
      else if (index >= count) comments.push(comment);
    }
    if (isComment(line) || line.trim() === "") {
      index += 1;
      continue;
    }
    const joined = joinContinuations(source, index, escape);
    const instruction = withHeredocs(source, index, joined, { comments, escape });
    hasInstruction = true;
    yield instruction;
    comments = [];
    index = instruction.lines.last;
  }
  const lines = single(source.length - 1);
  if (!hasInstruction)
    throw new DockerfileSyntaxError("file with no instructions", lines, { isForm: true });
  if (long >= 0) throw tooLong(lines);
}

/** A line of the file without its end, and with it. */
interface SourceLine {
  readonly line: string;
  readonly raw: string;
}

const noLine: SourceLine = { line: "", raw: "" };

function splitLines(text: string): SourceLine[] {
  const raws = text.replace(/^\ufeff/, "").match(/[^\n]*\n|[^\n]+$/g) ?? [];
  return raws.map((raw) => ({ raw, line: raw.replace(/[\r\n]+$/, "") }));
}

/** @param before the line before it */
function tooLong(before: LineRange): DockerfileSyntaxError {
  const message = `dockerfile line greater than max allowed size of ${String(maxLineBytes - 1)}`;
  return new DockerfileSyntaxError(message, before, { isForm: true });
}

/** Text of an instruction and the index of the line after it. */
interface Joined {
  readonly text: string;
  readonly next: number;
  readonly hasEmptyLine: boolean;
}

function joinContinuations(source: readonly SourceLine[], start: number, escape: string): Joined {
  // The escape character before the last one makes it a plain character.
  const continued = escape === "\\" ? /^(.*[^\\]|)\\[ \t]*$/ : /^(.*[^`]|)`[ \t]*$/;
  let text = "";
  let hasEmptyLine = false;
  let index = start;
  for (; index < source.length; index += 1) {
    const { line } = source[index] ?? noLine;
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
  source: readonly SourceLine[],
  start: number,
  joined: Joined,
  { comments, escape }: Pick<LogicalLine, "comments" | "escape">,
): LogicalLine {
  const original = joined.text.trim();
  const { word, rest } = splitInstruction(original);
  const heredocs: Heredoc[] = [];
  let next = joined.next;
  const marks = inForm({ first: start + 1, last: next }, () => heredocMarks(original));
  for (const { name, expand, stripTabs } of marks) {
    let raw = "";
    for (;;) {
      const line = source[next];
      const range = { first: start + 1, last: next };
      if (line === undefined)
        throw new DockerfileSyntaxError("unterminated heredoc", range, { isForm: true });
      next += 1;
      if ((stripTabs ? line.line.replace(/^\t+/, "") : line.line) === name) break;
      raw += line.raw;
    }
    const content = stripTabs ? raw.replaceAll(/^\t+/gm, "") : raw;
    heredocs.push({ name, expand, content, raw });
  }
  const emptyContinuation = joined.hasEmptyLine ? joined.next : undefined;
  return {
    ...{ word, keyword: word.toUpperCase(), rest, original, heredocs, comments, escape },
    ...{ lines: { first: start + 1, last: next }, emptyContinuation },
  };
}

/** What is wrong is the text's form. */
function inForm<T>(lines: LineRange, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new DockerfileSyntaxError(error.message, lines, { isForm: true });
  }
}

function isComment(line: string): boolean {
  return /^\s*#/.test(line);
}

function single(index: number): LineRange {
  return { first: index + 1, last: index + 1 };
}
