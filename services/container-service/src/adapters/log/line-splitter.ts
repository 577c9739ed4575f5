/** Cuts bytes into lines. What follows the last newline waits for more. */

const newline = 0x0a;

export class LineSplitter {
  #rest: Buffer[] = [];

  /** Whole lines of these bytes and what came before, without their newlines. */
  push(bytes: Buffer): Buffer[] {
    const lines: Buffer[] = [];
    let from = 0;
    for (let at = bytes.indexOf(newline); at !== -1; at = bytes.indexOf(newline, from)) {
      lines.push(this.#complete(bytes.subarray(from, at)));
      from = at + 1;
    }
    if (from < bytes.length) this.#rest.push(Buffer.from(bytes.subarray(from)));
    return lines;
  }

  /** Forgets an unfinished line. */
  reset(): void {
    this.#rest = [];
  }

  #complete(end: Buffer): Buffer {
    if (this.#rest.length === 0) return end;
    const line = Buffer.concat([...this.#rest, end]);
    this.#rest = [];
    return line;
  }
}
