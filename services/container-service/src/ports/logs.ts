/** Logs of containers on disk, as their shim processes write them. */

/** One line of a log file, without its newline: a JSON record. */
export type LogLine = Buffer;

/** Which lines. */
export interface ReadLogOptions {
  /** Only the last so many of what is there now; undefined = all. */
  readonly tail: number | undefined;
  /** Go on with lines that come later. */
  readonly follow: boolean;
  /** Resolves when no more lines will come (the container has ended). */
  readonly ended: Promise<unknown>;
  /** Ends the reading at once. */
  readonly signal: AbortSignal;
}

/** Log files that were opened: what is in them can be read when their container has been removed since. */
export interface OpenedLog {
  /** Lines in batches, oldest first. While following, no line is lost or repeated by a rotation. Read once. */
  readonly batches: AsyncIterable<readonly LogLine[]>;
  /** Closes what nobody has begun to read. */
  close(): Promise<void>;
}

/** Reader of log files with their rotated predecessors (`path.1`, `path.2.gz`, …). */
export interface LogFiles {
  /** Opens a log. A file that does not exist has no lines. */
  open(path: string, options: ReadLogOptions): Promise<OpenedLog>;
}
