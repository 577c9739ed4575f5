/** Builds that have ended, for who asks: each is a folder with its record and what belongs to it. */
import { createHash, randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { EngineError } from "@gantry/errors";
import { writeFileAtomic } from "@gantry/fs";
import type { Logger } from "@gantry/logging";
import { removeTree } from "@gantry/native";
import {
  type BuildHistoryEventSchema,
  BuildHistoryEventType,
  type BuildHistoryRecord,
  BuildHistoryRecordSchema,
  type Descriptor,
} from "@gantry/proto/buildkit";

/** Something that came to be known of a build. */
export type HistoryEvent = MessageInitShape<typeof BuildHistoryEventSchema>;

/** What is kept beside a record, by its digest. */
export interface HistoryBlob {
  readonly digest: string;
  readonly content: Uint8Array;
}

/** What a listener wants to hear. */
export interface HistoryQuestion {
  /** Only of this build; empty: of all. */
  readonly ref: string;
  /** None of builds that have ended. */
  readonly activeOnly: boolean;
  /** Only what is known now. */
  readonly earlyExit: boolean;
  /** So many of those that have ended at most; 0: all. */
  readonly limit: number;
}

/** Builds that are remembered beside those that somebody has pinned. */
const maxEntries = 50;

/** Folders that are being written. */
const unfinished = ".new-";

/** The history, on the disk. */
export class BuildHistory {
  readonly #dir: string;
  readonly #logger: Logger;
  readonly #active = new Map<string, BuildHistoryRecord>();
  readonly #listeners = new Set<(event: HistoryEvent) => void>();
  #known: Map<string, BuildHistoryRecord> | undefined;

  constructor(dir: string, logger: Logger) {
    this.#dir = dir;
    this.#logger = logger;
  }

  /** A build begins. */
  begin(record: BuildHistoryRecord): void {
    this.#active.set(record.ref, record);
    this.#tell({ type: BuildHistoryEventType.STARTED, record });
  }

  /** It has ended: its record is kept, with its blobs. Never rejects; what can't be kept is told to the log. */
  async end(record: BuildHistoryRecord, blobs: readonly HistoryBlob[]): Promise<void> {
    try {
      await this.#write(record, blobs);
      this.#records().set(record.ref, record);
      await this.#trim();
    } catch (error) {
      this.#logger.warn({ err: error, ref: record.ref }, "a build is not remembered");
    } finally {
      this.#active.delete(record.ref);
    }
    this.#tell({ type: BuildHistoryEventType.COMPLETE, record });
  }

  /** A build that has ended; undefined: none is known. */
  find(ref: string): BuildHistoryRecord | undefined {
    return this.#records().get(ref);
  }

  /** What is known, and unless the listener leaves early, what comes. */
  async *listen(question: HistoryQuestion, signal: AbortSignal): AsyncGenerator<HistoryEvent> {
    const { ref, activeOnly, earlyExit, limit } = question;
    const queue: HistoryEvent[] = [];
    let came = Promise.withResolvers<undefined>();
    const wake = (): void => {
      came.resolve(undefined);
    };
    const listener = (event: HistoryEvent): void => {
      queue.push(event);
      wake();
    };
    for (const record of this.#active.values())
      queue.push({ type: BuildHistoryEventType.STARTED, record });
    if (!activeOnly) {
      const ended = this.#newestFirst().filter((record) => ref === "" || record.ref === ref);
      for (const record of limit > 0 ? ended.slice(0, limit) : ended)
        queue.push({ type: BuildHistoryEventType.COMPLETE, record });
    }
    this.#listeners.add(listener);
    signal.addEventListener("abort", wake, { once: true });
    try {
      while (!signal.aborted) {
        const event = queue.shift();
        if (event !== undefined) {
          if (ref === "" || event.record?.ref === ref) yield event;
        } else if (earlyExit) return;
        else {
          came = Promise.withResolvers();
          await came.promise;
        }
      }
    } finally {
      this.#listeners.delete(listener);
      signal.removeEventListener("abort", wake);
    }
  }

  /** Keeps a build, or lets it go with its time. Throws not_found. */
  async pin(ref: string, pinned: boolean): Promise<void> {
    const known = this.#records().get(ref);
    if (known === undefined)
      throw new EngineError("not_found", `failed to retrieve ref ${ref}: file does not exist`);
    const record = { ...known, pinned, generation: known.generation + 1 };
    await writeFileAtomic(path.join(this.#folder(ref), "record"), bytesOf(record));
    this.#records().set(ref, record);
    this.#tell({ type: BuildHistoryEventType.COMPLETE, record });
  }

  /** Forgets a build. That there is none is no error. */
  async delete(ref: string): Promise<void> {
    if (!this.#records().delete(ref)) return;
    await removeTree(this.#folder(ref));
    const record = create(BuildHistoryRecordSchema, { ref });
    this.#tell({ type: BuildHistoryEventType.DELETED, record });
  }

  /** Content of a blob of a record. Throws not_found. */
  async read(digest: string): Promise<Uint8Array<ArrayBuffer>> {
    for (const record of this.#records().values()) {
      if (descriptorsOf(record).some((each) => each.digest === digest)) {
        const file = path.join(this.#folder(record.ref), hexOf(digest));
        return new Uint8Array(await readFile(file));
      }
    }
    throw new EngineError("not_found", `content ${digest}: not found`);
  }

  /** Read when they are first wanted. */
  #records(): Map<string, BuildHistoryRecord> {
    this.#known ??= this.#load();
    return this.#known;
  }

  #load(): Map<string, BuildHistoryRecord> {
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    const records = new Map<string, BuildHistoryRecord>();
    for (const name of readdirSync(this.#dir)) {
      const folder = path.join(this.#dir, name);
      try {
        if (name.startsWith(unfinished)) throw new Error("it was being written");
        const bytes = readFileSync(path.join(folder, "record"));
        const record = fromBinary(BuildHistoryRecordSchema, bytes);
        records.set(record.ref, record);
      } catch (error) {
        this.#logger.warn({ err: error, folder }, "a remembered build is removed");
        removeTree(folder).catch((failure: unknown) => {
          this.#logger.warn({ err: failure, folder }, "a remembered build is left");
        });
      }
    }
    return records;
  }

  async #write(record: BuildHistoryRecord, blobs: readonly HistoryBlob[]): Promise<void> {
    this.#records();
    const folder = path.join(this.#dir, `${unfinished}${randomUUID()}`);
    await mkdir(folder, { mode: 0o700 });
    try {
      for (const { digest, content } of blobs)
        await writeFile(path.join(folder, hexOf(digest)), content, { mode: 0o600 });
      await writeFileAtomic(path.join(folder, "record"), bytesOf(record));
      await removeTree(this.#folder(record.ref));
      await rename(folder, this.#folder(record.ref));
    } catch (error) {
      await removeTree(folder);
      throw error;
    }
  }

  async #trim(): Promise<void> {
    const loose = this.#newestFirst().filter(({ pinned }) => !pinned);
    for (const { ref } of loose.slice(maxEntries)) await this.delete(ref);
  }

  #newestFirst(): BuildHistoryRecord[] {
    const secondsOf = ({ createdAt }: BuildHistoryRecord): number =>
      Number(createdAt?.seconds ?? 0n) + (createdAt?.nanos ?? 0) / 1e9;
    return [...this.#records().values()].toSorted((a, b) => secondsOf(b) - secondsOf(a));
  }

  /** Clients choose references as they like. */
  #folder(ref: string): string {
    return path.join(this.#dir, createHash("sha256").update(ref).digest("hex"));
  }

  #tell(event: HistoryEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

const bytesOf = (record: BuildHistoryRecord): Uint8Array =>
  toBinary(BuildHistoryRecordSchema, record);

const hexOf = (digest: string): string => digest.replace(/^sha256:/, "");

function descriptorsOf(record: BuildHistoryRecord): Descriptor[] {
  const { logs, externalError, result, results } = record;
  const infos = [result, ...Object.values(results)];
  const attestations = infos.flatMap((info) => info?.attestations ?? []);
  return [logs, externalError, ...attestations].filter((each) => each !== undefined);
}
