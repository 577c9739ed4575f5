/**
 * Writes the lines of a log without ever holding up or ending the process: the file may be on a disk that
 * is full, or does not answer. Lines wait in memory while one write is under way; what does not fit there,
 * and what the disk refuses, is lost, and the next line that gets through says how many.
 */
import { write, writeSync } from "node:fs";

/** Bytes of lines that wait. */
const maxWaitingBytes = 1024 * 1024;
/** A pipe that is full for now is tried again after this time. */
const retryMs = 50;

/** How bytes get to the file; node:fs, but for tests. */
export interface WriteCalls {
  write(fd: number, bytes: Buffer, done: (error: Error | null, written: number) => void): void;
  writeSync(fd: number, bytes: Buffer): number;
}

/** Takes lines. */
export interface LineWriter {
  write(line: string): void;
  /** For the end of the process: writes what waits, at once. Never throws. */
  flush(): void;
}

export function openLineWriter(fd: number, calls: WriteCalls = { write, writeSync }): LineWriter {
  return new QueueingWriter(fd, calls);
}

class QueueingWriter implements LineWriter {
  readonly #fd: number;
  readonly #calls: WriteCalls;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #busy = false;
  #lost = 0;

  constructor(fd: number, calls: WriteCalls) {
    this.#fd = fd;
    this.#calls = calls;
  }

  write(line: string): void {
    if (this.#waitingBytes + line.length > maxWaitingBytes) {
      this.#lost++;
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    if (!this.#busy) this.#begin();
  }

  flush(): void {
    const bytes = this.#take();
    try {
      for (let at = 0; at < bytes.length; ) {
        at += this.#calls.writeSync(this.#fd, bytes.subarray(at));
      }
    } catch {
      // The process is ending, and there is nowhere left to say it.
    }
  }

  #begin(): void {
    this.#busy = true;
    // What is told of lost lines may be lost itself.
    const lines = this.#waiting.length + this.#lost;
    this.#send(this.#take(), lines);
  }

  /** All that waits; the lost lines are told of before them. */
  #take(): Buffer {
    const told = this.#lost === 0 ? "" : lostLine(this.#lost);
    const text = told + this.#waiting.join("");
    this.#lost = 0;
    this.#waiting = [];
    this.#waitingBytes = 0;
    return Buffer.from(text);
  }

  #send(bytes: Buffer, lines: number): void {
    this.#calls.write(this.#fd, bytes, (error, written) => {
      if (error !== null && "code" in error && error.code === "EAGAIN") {
        setTimeout(() => {
          this.#send(bytes, lines);
        }, retryMs).unref();
        return;
      }
      if (error === null && written < bytes.length) {
        this.#send(bytes.subarray(written), lines);
        return;
      }
      if (error !== null) this.#lost += lines;
      if (this.#waiting.length > 0) this.#begin();
      else this.#busy = false;
    });
  }
}

function lostLine(count: number): string {
  const fields = { level: "warn", time: new Date().toISOString(), pid: process.pid, lines: count };
  return `${JSON.stringify({ ...fields, msg: "lines of the log were lost" })}\n`;
}
