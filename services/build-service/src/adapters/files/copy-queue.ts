/** Files that are to be copied: they are copied many at a time, by threads. */
import type { PathKernel } from "@gantry/native";

/** One regular file. */
export interface QueuedCopy {
  readonly from: string;
  /** Nothing is there yet. */
  readonly to: string;
  readonly uid: number;
  readonly gid: number;
  /** Permission bits. */
  readonly mode: number;
  readonly stat: { readonly size: number };
}

/** A job of a thread ends with so many files, or so many bytes. */
const filesOfJob = 128;
const bytesOfJob = 8 * 1024 * 1024;

/** More than the processors have to do at once. */
const jobsAtOnce = 4;

/** Copies what is added, in no order. */
export class CopyQueue {
  readonly #kernel: Pick<PathKernel, "copyFiles">;
  readonly #signal: AbortSignal;
  readonly #running = new Set<Promise<void>>();
  #waiting: QueuedCopy[] = [];
  #waitingBytes = 0;
  #later: (() => void)[] = [];

  constructor(kernel: Pick<PathKernel, "copyFiles">, signal: AbortSignal) {
    this.#kernel = kernel;
    this.#signal = signal;
  }

  /** Adds a file; resolves when there is room for the next one. Throws what went wrong with earlier ones. */
  async add(copy: QueuedCopy): Promise<void> {
    this.#waiting.push(copy);
    this.#waitingBytes += copy.stat.size;
    if (this.#waiting.length < filesOfJob && this.#waitingBytes < bytesOfJob) return;
    this.#start();
    if (this.#running.size >= jobsAtOnce) await Promise.race(this.#running);
  }

  /** Does that when all files are there, in the order in which it was asked for. */
  afterwards(work: () => void): void {
    this.#later.push(work);
  }

  /** Resolves when all is done. Throws when something went wrong; nothing is under way then either. */
  async settle(): Promise<void> {
    this.#start();
    const ends = await Promise.allSettled(this.#running);
    const failed = ends.find((each) => each.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    this.#signal.throwIfAborted();
    for (const work of this.#later.splice(0)) work();
  }

  /** Resolves when no thread is at work any more, whatever came of it. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  #start(): void {
    if (this.#waiting.length === 0) return;
    this.#signal.throwIfAborted();
    const files = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    const numbers = new Uint32Array(files.flatMap(({ uid, gid, mode }) => [uid, gid, mode]));
    const job = this.#kernel.copyFiles(
      files.map(({ from }) => from),
      files.map(({ to }) => to),
      numbers,
    );
    this.#running.add(job);
    job.then(
      () => this.#running.delete(job),
      // Stays, for whoever waits for all.
      () => undefined,
    );
  }
}
