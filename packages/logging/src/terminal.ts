/** Lines for people at a terminal: the only door to standard output, beside the log. */

/** Prints one line to standard output. */
export function say(line = ""): void {
  process.stdout.write(`${line}\n`);
}

/** Prints one line to standard error. */
export function complain(line: string): void {
  process.stderr.write(`${line}\n`);
}
