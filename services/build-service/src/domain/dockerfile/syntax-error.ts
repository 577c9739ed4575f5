/** A Dockerfile that can't be understood, with the place. */

/** First and last line, counted from 1. */
export interface LineRange {
  readonly first: number;
  readonly last: number;
}

/** Lines of a Dockerfile that were read before one was found wrong, and that one. */
export interface Parsed {
  readonly lines: readonly {
    readonly keyword: string;
    readonly original: string;
    readonly lines: LineRange;
  }[];
  readonly emptyContinuations: readonly number[];
}

/** Thrown by the parser. */
export class DockerfileSyntaxError extends Error {
  override readonly name = "DockerfileSyntaxError";
  /** Where; undefined for the file as a whole. */
  readonly lines: LineRange | undefined;
  /** It is the text's form, before there are instructions: clients are told so in other words. */
  readonly isForm: boolean;

  /** What was read until then; undefined: the form of the text is wrong. */
  parsed: Parsed | undefined;
  /** Its line is not told in words. */
  readonly #isBare: boolean;

  constructor(
    message: string,
    lines?: LineRange,
    options: { readonly isForm?: boolean; readonly isBare?: boolean } = {},
  ) {
    super(message);
    this.lines = lines;
    this.isForm = options.isForm ?? lines === undefined;
    this.#isBare = options.isBare ?? false;
  }

  /** The message with its line, as BuildKit gives it. */
  get told(): string {
    if (this.isForm || this.#isBare || this.lines === undefined) return this.message;
    return `dockerfile parse error on line ${String(this.lines.first)}: ${this.message}`;
  }
}

/** What is wrong with the words of an instruction, as far as its form goes. */
export class WordFormError extends Error {
  override readonly name = "WordFormError";
}
