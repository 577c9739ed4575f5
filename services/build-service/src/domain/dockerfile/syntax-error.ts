/** A Dockerfile that can't be understood, with the place. */

/** First and last line, counted from 1. */
export interface LineRange {
  readonly first: number;
  readonly last: number;
}

/** Thrown by the parser; the edge turns it into `dockerfile parse error on line N: message`. */
export class DockerfileSyntaxError extends Error {
  override readonly name = "DockerfileSyntaxError";
  /** Where; undefined for the file as a whole. */
  readonly lines: LineRange | undefined;

  constructor(message: string, lines?: LineRange) {
    super(message);
    this.lines = lines;
  }
}
