/** Why a Dockerfile can't be built, with the place in it. The app makes a BuildError of it. */
import type { LineRange } from "./dockerfile/syntax-error.ts";

/** Thrown by the front end and the file work. The message is BuildKit's. */
export class BuildFailure extends Error {
  override readonly name = "BuildFailure";
  readonly lines: LineRange | undefined;
  /** Other places, told before. */
  readonly before: readonly LineRange[];

  constructor(
    message: string,
    lines?: LineRange,
    options: { readonly cause?: unknown; readonly before?: readonly LineRange[] } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.lines = lines;
    this.before = options.before ?? [];
  }
}

/** What a URL or a repository has could not be had. The message is BuildKit's, or Go's. */
export class DownloadFailure extends BuildFailure {}

/** A server answered with something else than a file. */
export class AnswerFailure extends DownloadFailure {
  readonly status: number;
  /** The classic builder's words. */
  readonly told: string;

  constructor(status: number, told: string) {
    super(`invalid response status ${String(status)}`);
    this.status = status;
    this.told = told;
  }
}

/** A repository, or what is wanted of it, could not be fetched. */
export class RepositoryFailure extends DownloadFailure {
  /** The classic builder's words. */
  readonly told: string;

  /** @param said by git, with its code */
  constructor(message: string, said: string, cause?: unknown) {
    super(message, undefined, { cause });
    this.told = `error fetching: ${said}`;
  }
}

/** A source of COPY or ADD that isn't there. */
export class MissingSource extends BuildFailure {
  /** Absolute in its context. */
  readonly path: string;

  constructor(path: string) {
    super(`${JSON.stringify(path)}: not found`);
    this.path = path;
  }
}
