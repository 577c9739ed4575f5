/** Puts a line together that a program writes in pieces: clients show each piece that comes late as a line. */
import type { LogStream } from "../../ports/progress.ts";

/** A piece without an end waits so long for the rest of its line. */
const patienceMs = 50;

interface Held {
  readonly stream: LogStream;
  readonly bytes: Uint8Array;
  readonly timer: NodeJS.Timeout;
}

export class PartialLines {
  readonly #emit: (vertex: string, stream: LogStream, bytes: Uint8Array) => void;
  readonly #held = new Map<string, Held>();

  constructor(emit: (vertex: string, stream: LogStream, bytes: Uint8Array) => void) {
    this.#emit = emit;
  }

  /** Passes on whole lines, in the order in which they came, whichever the stream. */
  log(vertex: string, stream: LogStream, bytes: Uint8Array): void {
    if (this.#held.get(vertex)?.stream !== stream) this.flush(vertex);
    const before = this.#take(vertex);
    const all = before === undefined ? bytes : Buffer.concat([before.bytes, bytes]);
    const end = all.lastIndexOf(0x0a) + 1;
    if (end > 0) this.#emit(vertex, stream, all.subarray(0, end));
    if (end === all.length) return;
    const timer = setTimeout(() => {
      this.flush(vertex);
    }, patienceMs);
    this.#held.set(vertex, { stream, bytes: all.subarray(end), timer });
  }

  /** Nothing more comes of a vertex for now. */
  flush(vertex: string): void {
    const held = this.#take(vertex);
    if (held !== undefined) this.#emit(vertex, held.stream, held.bytes);
  }

  flushAll(): void {
    for (const vertex of [...this.#held.keys()]) this.flush(vertex);
  }

  #take(vertex: string): Held | undefined {
    const held = this.#held.get(vertex);
    if (held === undefined) return undefined;
    clearTimeout(held.timer);
    this.#held.delete(vertex);
    return held;
  }
}
