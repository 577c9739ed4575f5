/** Builds that are running: what is known of each between the calls that are about it. */
import { setTimeout as pause } from "node:timers/promises";
import { EngineError } from "@gantry/errors";
import type { Recording } from "../history/recorded.ts";
import { ProgressLog } from "../progress/progress-log.ts";
import type { WarningSource } from "../progress/status-message.ts";
import type { Bridge } from "./bridge.ts";

/** One build, from its Solve to the answer to it. */
export class Job {
  readonly ref: string;
  /** Session ID that the client named; may be empty. */
  readonly sessionId: string;
  readonly progress = new ProgressLog();
  readonly startedMs = Date.now();
  /** Aborts when the client cancels, and when the job has ended. */
  readonly signal: AbortSignal;
  /** The Dockerfile, for warnings to point into. */
  source: WarningSource | undefined;
  readonly #abort = new AbortController();
  readonly #disposals = new AsyncDisposableStack();
  /** By what its client drives it; undefined: not yet, or not any more. */
  bridge: Bridge | undefined;
  /** How it ended; undefined: not yet. */
  outcome: { readonly failure: Error | undefined } | undefined;
  /** What will be remembered of it; undefined: nothing. */
  recording: Recording | undefined;
  /** Steps are looked up when the caches that the client named are here. Never rejects. */
  caches: Promise<void> = Promise.resolve();
  /** What the client may ask of its steps, as far as the engine allows it. */
  entitlements: readonly string[] = [];

  constructor(ref: string, sessionId: string, clientSignal: AbortSignal) {
    this.ref = ref;
    this.sessionId = sessionId;
    this.signal = AbortSignal.any([asCancellation(clientSignal), this.#abort.signal]);
  }

  /** Keeps something until the job has ended. */
  keep<T extends AsyncDisposable>(resource: T): T {
    return this.#disposals.use(resource);
  }

  /** Ends it: progress is complete, everything that was kept for it is released. */
  async end(failure?: Error): Promise<void> {
    this.progress.end();
    this.#abort.abort(new EngineError("canceled", "context canceled"));
    await this.#disposals.disposeAsync();
    this.outcome = { failure };
  }
}

/** The same signal, with the reason that a build ends for. */
export function asCancellation(signal: AbortSignal): AbortSignal {
  const abort = new AbortController();
  const onAbort = (): void => {
    abort.abort(new EngineError("canceled", "context canceled", { cause: signal.reason }));
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  return abort.signal;
}

/** How long calls about a job wait for it to begin, and how long it can be asked about after its end. */
const arrivalMs = 6000;
const lingerMs = 10_000;
/** So much later than the answer to its Solve comes what else a client is told of a build that failed. */
const behindMs = 100;

/** A build and its client's hold on it. */
export interface DrivenJob {
  readonly job: Job;
  readonly bridge: Bridge;
}

/** Jobs by the reference that clients chose. */
export class Jobs {
  readonly #jobs = new Map<string, Job>();
  readonly #waiting = new Map<string, Set<() => void>>();

  /** Begins one. Throws for a reference that is in use. */
  begin(ref: string, sessionId: string, clientSignal: AbortSignal): Job {
    if (this.#jobs.has(ref)) throw new EngineError("already_exists", `job ID ${ref} exists`);
    const job = new Job(ref, sessionId, clientSignal);
    this.#jobs.set(ref, job);
    this.#wake(ref);
    return job;
  }

  /** Lets the client drive a job, until the result is disposed. */
  drive(job: Job, bridge: Bridge): Disposable {
    job.bridge = bridge;
    this.#wake(job.ref);
    return {
      [Symbol.dispose]: () => {
        job.bridge = undefined;
      },
    };
  }

  /** Forgets a job that has ended, once late readers of its progress had their time. */
  forget(job: Job): void {
    this.#wake(job.ref);
    const timer = setTimeout(() => {
      if (this.#jobs.get(job.ref) === job) this.#jobs.delete(job.ref);
    }, lingerMs);
    timer.unref();
  }

  /** The job, which may be about to begin. Throws not_found when it doesn't. */
  async get(ref: string, signal: AbortSignal): Promise<Job> {
    const job = await this.#arrival(ref, () => this.#jobs.get(ref), signal);
    if (job !== undefined) return job;
    throw new EngineError("not_found", `no such job ${ref}`);
  }

  /**
   * A job that its client may drive, or will in a moment. Throws not_found when there is none. Of one that was refused
   * or has ended the client hears by the answer to its Solve: this throws the same some moments later, since a client
   * shows what it hears first.
   */
  async driven(ref: string, signal: AbortSignal): Promise<DrivenJob> {
    const find = (): Job | undefined => {
      const job = this.#jobs.get(ref);
      return job?.bridge === undefined && job?.outcome === undefined ? undefined : job;
    };
    const job = await this.#arrival(ref, find, signal);
    if (job?.bridge !== undefined) return { job, bridge: job.bridge };
    if (job !== undefined) await pause(behindMs);
    throw job?.outcome?.failure ?? new EngineError("not_found", `no such build ${ref}`);
  }

  #wake(ref: string): void {
    for (const wake of this.#waiting.get(ref) ?? []) wake();
  }

  /** What is found now, or when one of the next changes of a job brings it; undefined: not in time. */
  async #arrival<T>(
    ref: string,
    find: () => T | undefined,
    signal: AbortSignal,
  ): Promise<T | undefined> {
    const there = find();
    if (there !== undefined) return there;
    const arrived = Promise.withResolvers<T | undefined>();
    const look = (): void => {
      const found = find();
      if (found !== undefined) arrived.resolve(found);
    };
    const giveUp = (): void => {
      arrived.resolve(undefined);
    };
    const waiting = this.#waiting.get(ref) ?? new Set();
    this.#waiting.set(ref, waiting.add(look));
    const timer = setTimeout(giveUp, arrivalMs);
    signal.addEventListener("abort", giveUp, { once: true });
    if (signal.aborted) giveUp();
    try {
      return await arrived.promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", giveUp);
      waiting.delete(look);
      if (waiting.size === 0) this.#waiting.delete(ref);
    }
  }
}
