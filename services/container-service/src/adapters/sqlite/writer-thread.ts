/**
 * The writer's thread: the only connection to the database. It takes whatever requests have come, and
 * commits the writes among them together; a disk that does not answer holds up this thread, and nobody else.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import {
  type MessagePort,
  parentPort,
  receiveMessageOnPort,
  workerData,
} from "node:worker_threads";
import { toEngineError } from "@gantry/errors";
import type { LoggedEvent } from "@gantry/events";
import { type EventTable, openEventTable } from "@gantry/events/event-table";
import { type TakeBack, takeSteps } from "./folder-work.ts";
import { type Change, statements } from "./statements.ts";
import type {
  LogQuestion,
  WriteRequest,
  WriterAnswer,
  WriterData,
  WriterFailure,
  WriterMessage,
  WriterRequest,
} from "./writer-messages.ts";

/** Pause before refused writes are tried again without anybody asking for something. */
const retryMs = 1000;

/** SQLite's result codes that are the disk's fault, or its state, and may pass: BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN. */
const passingCodes: ReadonlySet<number> = new Set([5, 6, 8, 10, 13, 14]);

class Writer {
  readonly #port: MessagePort;
  readonly #db: DatabaseSync;
  readonly #log: EventTable;
  readonly #statements = new Map<Change["statement"], StatementSync>();
  /** Writes that have happened and that the disk refused, in order. Nothing is written before them. */
  #refused: WriteRequest[] = [];
  /** Why the first of them was refused. */
  #refusal: WriterFailure | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(port: MessagePort, { file, service }: WriterData) {
    this.#port = port;
    this.#db = new DatabaseSync(file);
    this.#db.exec(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000",
    );
    this.#log = openEventTable({ db: this.#db, service });
    this.#send({ kind: "ready" });
    port.on("message", (first: WriterRequest) => {
      this.#take([first, ...this.#more()]);
    });
  }

  /** What has come meanwhile. */
  #more(): WriterRequest[] {
    const requests: WriterRequest[] = [];
    for (;;) {
      const next = receiveMessageOnPort(this.#port) as { message: WriterRequest } | undefined;
      if (next === undefined) return requests;
      requests.push(next.message);
    }
  }

  #take(requests: readonly WriterRequest[]): void {
    const writes: WriteRequest[] = [];
    let published: number | undefined;
    for (const request of requests) {
      if (request.kind === "write" && request.folders === undefined) {
        writes.push(request);
        continue;
      }
      if (request.kind === "published") {
        published = request.seq;
        continue;
      }
      // Whoever asks sees what was written before.
      this.#write(writes.splice(0), published);
      published = undefined;
      if (request.kind === "write") this.#writeSingly([request]);
      else if (request.kind === "close") this.#close();
      else this.#done([], [this.#answer(request.id, request.question)]);
    }
    this.#write(writes, published);
  }

  #write(writes: readonly WriteRequest[], published: number | undefined): void {
    if (writes.length === 0 && published === undefined) return;
    const all = [...this.#refused, ...writes];
    try {
      const events = this.#commit(all, published);
      this.#refused = [];
      this.#refusal = undefined;
      this.#done(
        events,
        writes.map(({ id }) => ({ id })),
      );
    } catch (error) {
      // Of several only one may be at fault: each for itself.
      if (all.length > 0) this.#writeSingly(writes);
      else this.#done([], [], failureOf(error));
    }
  }

  #writeSingly(writes: readonly WriteRequest[]): void {
    const events: LoggedEvent[] = [];
    const answers: WriterAnswer[] = [];
    const [refused, before] = [this.#refused, new Set(this.#refused)];
    this.#refused = [];
    let blocked: WriterFailure | undefined;
    for (const write of [...refused, ...writes]) {
      const failure = blocked ?? this.#tryOne(write, events);
      // The order of what has happened is kept: behind one that waits, all wait.
      if (failure !== undefined && passes(failure) && write.surely) {
        blocked = failure;
        this.#refused.push(write);
      }
      if (!before.has(write)) answers.push(answerOf(write, failure));
      else if (failure !== undefined && !passes(failure)) answers.push({ id: write.id, failure });
    }
    this.#refusal = blocked;
    this.#done(events, answers);
    this.#scheduleRetry();
  }

  #tryOne(write: WriteRequest, events: LoggedEvent[]): WriterFailure | undefined {
    try {
      const takeBack = takeSteps(write.folders?.before ?? []);
      events.push(...this.#commitOr(takeBack, write));
    } catch (error) {
      return failureOf(error);
    }
    try {
      takeSteps(write.folders?.after ?? []);
      return undefined;
    } catch (error) {
      return { ...failureOf(error), written: true };
    }
  }

  #commitOr(takeBack: TakeBack, write: WriteRequest): LoggedEvent[] {
    try {
      return this.#commit([write], undefined);
    } catch (error) {
      takeBack();
      throw error;
    }
  }

  #commit(writes: readonly WriteRequest[], published: number | undefined): LoggedEvent[] {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const events: LoggedEvent[] = [];
      for (const write of writes) {
        for (const { statement, parameters } of write.changes) {
          this.#statement(statement).run(...parameters);
        }
        for (const event of write.events) events.push(this.#log.append(event));
      }
      if (published !== undefined) this.#log.setPublished(published);
      this.#db.exec("COMMIT");
      return events;
    } catch (error) {
      // A full disk ends the transaction by itself.
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  #statement(name: Change["statement"]): StatementSync {
    const known = this.#statements.get(name);
    if (known !== undefined) return known;
    const statement = this.#db.prepare(statements[name]);
    this.#statements.set(name, statement);
    return statement;
  }

  #scheduleRetry(): void {
    if (this.#retry !== undefined || this.#refused.length === 0) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#writeSingly([]);
    }, retryMs);
  }

  #answer(id: number, question: LogQuestion): WriterAnswer {
    try {
      return { id, value: this.#valueOf(question) };
    } catch (error) {
      return { id, failure: failureOf(error) };
    }
  }

  #valueOf(question: LogQuestion): LoggedEvent[] | number {
    switch (question.ask) {
      case "read":
        return this.#log.read(question.after, question.upTo, question.limit);
      case "firstSeq":
        return this.#log.firstSeq();
      case "lastSeq":
        return this.#log.lastSeq();
      case "seqBefore":
        return this.#log.seqBefore(question.timeNano);
    }
  }

  #done(
    events: readonly LoggedEvent[],
    answers: readonly WriterAnswer[],
    failure?: WriterFailure,
  ): void {
    const lost = failure === undefined ? [] : [{ id: 0, failure }];
    this.#send({
      kind: "done",
      events,
      answers: [...answers, ...lost],
      waiting: this.#refused.length,
    });
  }

  #send(message: WriterMessage): void {
    this.#port.postMessage(message);
  }

  #close(): void {
    clearTimeout(this.#retry);
    if (this.#refused.length > 0) this.#writeSingly([]);
    clearTimeout(this.#retry);
    let failure = this.#refusal;
    try {
      this.#db.close();
    } catch (error) {
      failure ??= failureOf(error);
    }
    this.#send({
      kind: "closed",
      lost: this.#refused.length,
      ...(failure !== undefined && { failure }),
    });
    this.#port.close();
  }
}

function answerOf(write: WriteRequest, failure: WriterFailure | undefined): WriterAnswer {
  if (failure === undefined) return { id: write.id };
  return { id: write.id, failure, kept: write.surely && passes(failure) };
}

function passes({ code }: WriterFailure): boolean {
  return passingCodes.has(code);
}

function failureOf(error: unknown): WriterFailure {
  const { message } = toEngineError(error);
  const code = error instanceof Error && "errcode" in error ? Number(error.errcode) : 0;
  const errno =
    error instanceof Error && "syscall" in error && "code" in error ? error.code : undefined;
  return { message, code: code & 0xff, ...(typeof errno === "string" && { errno }) };
}

if (parentPort === null) throw new Error("the writer runs as a thread");
new Writer(parentPort, workerData as WriterData);
