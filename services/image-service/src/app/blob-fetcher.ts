/**
 * Fetches blobs from registries: each digest once however many ask, verified while it arrives,
 * resumed where an earlier try stopped. A fetch ends when the last of those who wait has gone.
 */
import { setTimeout as pause } from "node:timers/promises";
import { canceled, EngineError, hasKind, internal, invalidArgument } from "@gantry/errors";
import { type Descriptor, type Digest, digestAlgorithm, shortDigest } from "@gantry/oci";
import type { ContentStore, Ingest } from "../ports/content.ts";
import type { Metadata } from "../ports/metadata.ts";
import type { Repository } from "../ports/registry.ts";
import type { Slots } from "./slots.ts";

/** Bytes that are gathered before they are written. */
const flushBytes = 1024 * 1024;

/** Connections that may break in a row without a byte in between. */
const maxBarrenTries = 5;

/** What to fetch, and who is told. */
export interface FetchRequest {
  readonly descriptor: Descriptor;
  readonly repository: Repository;
  readonly slots: Slots;
  readonly signal: AbortSignal;
  readonly on: FetchListener;
}

/** Told of one fetch's steps. */
export interface FetchListener {
  /** It must wait for a slot. */
  waiting(): void;
  /** So many bytes are here. */
  progress(bytes: number): void;
  /** All bytes are here, and being checked. */
  verifying(): void;
  /** The pause before another try, in seconds. */
  retrying(seconds: number): void;
}

/** A fetch that somebody takes part in. */
export interface Fetching {
  /** Resolves when the blob is whole and recorded. */
  readonly done: Promise<void>;
  /** The growing file, once there is one; undefined when the blob was whole already. */
  readonly ingest: Promise<Ingest | undefined>;
}

export interface BlobFetcher {
  /** Takes part in the fetch of a digest, beginning it where nobody has. */
  fetch(request: FetchRequest): Fetching;
}

interface Job {
  readonly done: Promise<void>;
  readonly ingest: Promise<Ingest>;
  readonly listeners: Set<FetchListener>;
  readonly controller: AbortController;
}

export interface FetcherDeps {
  readonly metadata: Metadata;
  readonly content: ContentStore;
  /** First pause after a break; doubles. */
  readonly backoffMs?: number;
}

export function createBlobFetcher(deps: FetcherDeps): BlobFetcher {
  const jobs = new Map<Digest, Job>();
  return {
    fetch(request) {
      const ingest = Promise.withResolvers<Ingest | undefined>();
      // `done` rejects with the same, and not everybody reads along.
      ingest.promise.catch(() => undefined);
      const done = takePart(deps, jobs, request, (found) => {
        ingest.resolve(found);
      });
      done.then(() => {
        ingest.resolve(undefined);
      }, ingest.reject);
      return { done, ingest: ingest.promise };
    },
  };
}

/** Joins or begins jobs until the blob is here. A job that fails for another's reasons is done again. */
async function takePart(
  deps: FetcherDeps,
  jobs: Map<Digest, Job>,
  request: FetchRequest,
  onIngest: (ingest: Ingest) => void,
): Promise<void> {
  const { digest } = request.descriptor;
  while (!deps.metadata.blobs.has(digest)) {
    if (request.signal.aborted) throw canceled("the download was canceled");
    const running = jobs.get(digest);
    const job = running ?? begin(deps, jobs, request);
    job.ingest.then(onIngest, () => undefined);
    try {
      await attend(job, request);
    } catch (error) {
      if (running === undefined || request.signal.aborted) throw error;
    }
  }
}

async function attend(job: Job, { on, signal }: FetchRequest): Promise<void> {
  job.listeners.add(on);
  const left = Promise.withResolvers<never>();
  // One who leaves when the job has ended is heard by nobody.
  left.promise.catch(() => undefined);
  const leave = (): void => {
    left.reject(canceled("the download was canceled"));
  };
  signal.addEventListener("abort", leave, { once: true });
  try {
    await Promise.race([job.done, left.promise]);
  } finally {
    signal.removeEventListener("abort", leave);
    job.listeners.delete(on);
    if (job.listeners.size === 0) job.controller.abort();
  }
}

function begin(deps: FetcherDeps, jobs: Map<Digest, Job>, request: FetchRequest): Job {
  const { digest } = request.descriptor;
  const controller = new AbortController();
  const listeners = new Set<FetchListener>();
  const opened = Promise.withResolvers<Ingest>();
  // The job itself rejects with the same.
  opened.promise.catch(() => undefined);
  const tell: FetchListener = {
    waiting: () => each(listeners, (on) => on.waiting()),
    progress: (bytes) => each(listeners, (on) => on.progress(bytes)),
    verifying: () => each(listeners, (on) => on.verifying()),
    retrying: (seconds) => each(listeners, (on) => on.retrying(seconds)),
  };
  const fetch = new BlobFetch(deps, { ...request, on: tell, signal: controller.signal });
  const done = fetch.run(opened.resolve).finally(() => jobs.delete(digest));
  done.catch(opened.reject);
  const job = { done, ingest: opened.promise, listeners, controller };
  jobs.set(digest, job);
  return job;
}

function each<T>(items: Iterable<T>, act: (item: T) => void): void {
  for (const item of items) act(item);
}

class BlobFetch {
  readonly #deps: FetcherDeps;
  readonly #request: FetchRequest;

  constructor(deps: FetcherDeps, request: FetchRequest) {
    this.#deps = deps;
    this.#request = request;
  }

  async run(onIngest: (ingest: Ingest) => void): Promise<void> {
    const ingest = await this.#download(onIngest);
    // The next download need not wait for the disk.
    const { digest, size } = this.#request.descriptor;
    const blob = await ingest.commit({ digest, sizeBytes: size });
    this.#deps.metadata.change((change) => {
      change.putBlob(blob);
    });
  }

  /** Until all bytes are here; holds a slot meanwhile. */
  async #download(onIngest: (ingest: Ingest) => void): Promise<Ingest> {
    const { descriptor, slots, on, signal } = this.#request;
    if (slots.free === 0) on.waiting();
    using _slot = await slots.take(signal);
    const name = `blob ${descriptor.digest}`;
    const ingest = await this.#deps.content.ingest(name, digestAlgorithm(descriptor.digest));
    try {
      if (ingest.offset > descriptor.size) await ingest.restart();
      onIngest(ingest);
      await this.#receiveAll(ingest);
      on.verifying();
      return ingest;
    } catch (error) {
      await this.#giveUp(ingest, error);
      throw error;
    }
  }

  /** What came is kept for the next try, unless it cannot be right. */
  async #giveUp(ingest: Ingest, error: unknown): Promise<void> {
    const reason = error instanceof Error ? error : new Error(String(error));
    if (hasKind(error, "invalid_argument")) await ingest.discard(reason);
    else await ingest.suspend(reason);
  }

  async #receiveAll(ingest: Ingest): Promise<void> {
    const { descriptor, signal, on } = this.#request;
    let waitMs = this.#deps.backoffMs ?? 500;
    let barren = 0;
    while (ingest.offset < descriptor.size) {
      const before = ingest.offset;
      try {
        await this.#receive(ingest);
        if (ingest.offset < descriptor.size) throw internal(shortText(descriptor, ingest.offset));
      } catch (error) {
        barren = ingest.offset > before ? 0 : barren + 1;
        if (signal.aborted) throw canceled("the download was canceled", { cause: error });
        if (!isTransient(error) || barren >= maxBarrenTries) throw error;
        if (barren === 0) waitMs = this.#deps.backoffMs ?? 500;
        on.retrying(Math.max(1, Math.round(waitMs / 1000)));
        await pause(waitMs, undefined, { signal });
        waitMs = Math.min(waitMs * 2, 10_000);
      }
    }
  }

  /** One connection, from where the file stands. Never takes more than the descriptor says. */
  async #receive(ingest: Ingest): Promise<void> {
    const { descriptor, repository, signal } = this.#request;
    const remote = await repository.blob(descriptor.digest, ingest.offset, signal);
    // A registry without ranges begins anew; what is here already is passed over.
    let skip = ingest.offset - remote.offset;
    const gathered = new Gatherer(ingest, this.#request.on);
    try {
      for await (const chunk of remote.bytes) {
        const fresh = skip > 0 ? chunk.subarray(Math.min(skip, chunk.length)) : chunk;
        skip -= chunk.length - fresh.length;
        if (fresh.length === 0) continue;
        if (gathered.position + fresh.length > descriptor.size) {
          throw invalidArgument(
            `content ${descriptor.digest} is larger than its descriptor's ${descriptor.size} bytes`,
          );
        }
        await gathered.add(fresh);
      }
    } finally {
      await gathered.flush();
    }
  }
}

/** Collects chunks into large writes. */
class Gatherer {
  readonly #ingest: Ingest;
  readonly #on: FetchListener;
  #chunks: Uint8Array[] = [];
  #size = 0;

  constructor(ingest: Ingest, on: FetchListener) {
    this.#ingest = ingest;
    this.#on = on;
  }

  get position(): number {
    return this.#ingest.offset + this.#size;
  }

  async add(chunk: Uint8Array): Promise<void> {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size >= flushBytes) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#size === 0) return;
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#size = 0;
    await this.#ingest.append(chunks);
    for (const chunk of chunks) release(chunk);
    this.#on.progress(this.#ingest.offset);
  }
}

/**
 * Gives a chunk's memory back now, where it has a buffer of its own. The garbage collector begins only when
 * some 64 MiB of such buffers have gathered.
 */
function release({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

function shortText({ digest, size }: Descriptor, offset: number): string {
  return `layer ${shortDigest(digest)}: unexpected EOF at ${offset} of ${size} bytes`;
}

/** Broken connections and overloaded registries; refusals and lies are final. */
function isTransient(error: unknown): boolean {
  return (
    error instanceof EngineError &&
    ["internal", "unavailable", "resource_exhausted"].includes(error.kind)
  );
}
