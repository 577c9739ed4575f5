/** The writer's thread as the main thread sees it. */
import { once } from "node:events";
import path from "node:path";
import { Worker } from "node:worker_threads";
import { type EngineError, internal, sqliteFull, toEngineError } from "@gantry/errors";
import type { LoggedEvent, NewEvent } from "@gantry/events";
import type { Logger } from "@gantry/logging";
import { FoldersMissing, type FolderWork } from "../../ports/metadata.ts";
import type { Change } from "./statements.ts";
import type {
  LogQuestion,
  WriterAnswer,
  WriterData,
  WriterFailure,
  WriterMessage,
  WriterRequest,
} from "./writer-messages.ts";

/** Options of openStateWriter. */
export interface StateWriterOptions extends WriterData {
  readonly logger: Logger;
  /** Takes what is committed, in order. */
  readonly onEvents: (events: readonly LoggedEvent[]) => void;
}

/** Writes to the database without holding up the event loop. Writes are committed in the order of the calls. */
export interface StateWriter {
  /** Containers of build steps, by ID: events about them are dropped. */
  readonly quiet: Set<string>;
  /**
   * Commits changes and events in one transaction; resolves when they are safe from a crash of ours.
   * Errors: internal; nothing is kept then. Those of folders: see FolderWork.
   */
  write(
    changes: readonly Change[],
    events: readonly NewEvent[],
    folders?: FolderWork,
  ): Promise<void>;
  /**
   * The same for what has happened and cannot be refused. Resolves when it is committed, or when the
   * disk refused it: it is tried again then until it is written. Never rejects.
   */
  writeSurely(changes: readonly Change[], events: readonly NewEvent[]): Promise<void>;
  /** Resolves when every write before this call is committed, refused, or kept. Never rejects. */
  settled(): Promise<void>;
  /** Asks the event log on disk. */
  ask(question: LogQuestion): Promise<LoggedEvent[] | number>;
  /** Notes how far NATS has got, soon: what is told again after a crash is known by its message ID. */
  setPublished(seq: number): void;
  /** Commits what was asked for and ends the thread. Errors: internal (the disk has refused writes to the end). */
  close(): Promise<void>;
}

/** V8's share of the thread; all of it lives as long as the service. */
const resourceLimits = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 };

/** Starts the thread; resolves when its connection is open. */
export async function openStateWriter(options: StateWriterOptions): Promise<StateWriter> {
  const { file, service } = options;
  // Beside this file: the source under its own name, or what the bundler made of it.
  const entry = path.join(
    import.meta.dirname,
    `writer-thread${path.extname(import.meta.filename)}`,
  );
  const workerData: WriterData = { file, service };
  const worker = new Worker(entry, { workerData, resourceLimits });
  await once(worker, "message");
  return new ThreadWriter(worker, options);
}

/** How far NATS has got is written so much later, once for all that it got meanwhile. */
const publishedDelayMs = 500;

function errorOf(failure: WriterFailure): EngineError {
  const error = kindOf(failure);
  return failure.written === true ? new FoldersMissing(error) : error;
}

function kindOf({ message, code, errno }: WriterFailure): EngineError {
  if (errno !== undefined) return toEngineError(Object.assign(new Error(message), { code: errno }));
  return code === sqliteFull
    ? internal("no space left on device", { cause: new Error(message) })
    : internal(`write container state: ${message}`);
}

class ThreadWriter implements StateWriter {
  readonly quiet = new Set<string>();
  readonly #worker: Worker;
  readonly #options: StateWriterOptions;
  readonly #waiting = new Map<number, PromiseWithResolvers<WriterAnswer>>();
  #lastId = 0;
  /** Answers come in the order of the requests: with this one, all are there. */
  #newest: Promise<unknown> = Promise.resolve();
  #closing = false;
  #closed: Extract<WriterMessage, { kind: "closed" }> | undefined;
  #refusing = false;
  #published: number | undefined;
  #publishedTimer: NodeJS.Timeout | undefined;

  constructor(worker: Worker, options: StateWriterOptions) {
    this.#worker = worker;
    this.#options = options;
    worker.on("message", (message: WriterMessage) => {
      if (message.kind === "done") this.#done(message);
      else if (message.kind === "closed") this.#closed = message;
    });
    worker.on("error", (error: unknown) => {
      throw internal("the writer of container state has failed", { cause: error });
    });
    worker.on("exit", (code) => {
      // Without it nothing can be kept any more: the supervisor starts us anew.
      if (!this.#closing)
        throw internal(`the writer of container state ended with ${String(code)}`);
    });
  }

  async write(
    changes: readonly Change[],
    events: readonly NewEvent[],
    folders?: FolderWork,
  ): Promise<void> {
    const told = this.#told(events);
    const { failure } = await this.#request((id) => ({
      kind: "write",
      id,
      changes,
      events: told,
      surely: false,
      ...(folders !== undefined && { folders }),
    }));
    if (failure !== undefined) throw errorOf(failure);
  }

  async writeSurely(changes: readonly Change[], events: readonly NewEvent[]): Promise<void> {
    const told = this.#told(events);
    await this.#request((id) => ({ kind: "write", id, changes, events: told, surely: true }));
  }

  #told(events: readonly NewEvent[]): readonly NewEvent[] {
    if (this.quiet.size === 0) return events;
    return events.filter(
      ({ actorId, attributes }) =>
        !this.quiet.has(actorId) && !this.quiet.has(attributes["container"] ?? ""),
    );
  }

  async settled(): Promise<void> {
    if (this.#waiting.size > 0) await this.#newest;
  }

  async ask(question: LogQuestion): Promise<LoggedEvent[] | number> {
    const { value, failure } = await this.#request((id) => ({ kind: "ask", id, question }));
    if (failure !== undefined) throw errorOf(failure);
    if (value === undefined) throw internal("the writer of container state gave no answer");
    return value;
  }

  setPublished(seq: number): void {
    if (this.#closing) return;
    this.#published = seq;
    this.#publishedTimer ??= setTimeout(() => {
      this.#writePublished();
    }, publishedDelayMs).unref();
  }

  #writePublished(): void {
    clearTimeout(this.#publishedTimer);
    this.#publishedTimer = undefined;
    if (this.#published !== undefined) this.#post({ kind: "published", seq: this.#published });
    this.#published = undefined;
  }

  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    const exited = once(this.#worker, "exit");
    this.#writePublished();
    this.#post({ kind: "close" });
    await exited;
    const { lost, failure } = this.#closed ?? {};
    if (failure === undefined) return;
    throw internal(`close container state, ${String(lost)} writes are lost: ${failure.message}`);
  }

  #request(make: (id: number) => WriterRequest): Promise<WriterAnswer> {
    if (this.#closing) return Promise.reject(internal("the store of container state is closed"));
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<WriterAnswer>();
    this.#waiting.set(id, answer);
    this.#newest = answer.promise;
    this.#post(make(id));
    return answer.promise;
  }

  #post(request: WriterRequest): void {
    this.#worker.postMessage(request);
  }

  #done({ events, answers, waiting }: Extract<WriterMessage, { kind: "done" }>): void {
    this.#options.onEvents(events);
    for (const answer of answers) {
      this.#report(answer);
      this.#waiting.get(answer.id)?.resolve(answer);
      this.#waiting.delete(answer.id);
    }
    if (this.#refusing && waiting === 0) this.#options.logger.info({}, "state is written again");
    this.#refusing = waiting > 0;
  }

  #report({ id, failure, kept }: WriterAnswer): void {
    if (failure === undefined) return;
    const { logger } = this.#options;
    if (kept === true) {
      if (!this.#refusing) logger.error({ failure }, "state is not written, trying again");
    } else if (!this.#waiting.has(id)) logger.error({ failure }, "state could not be written");
  }
}
