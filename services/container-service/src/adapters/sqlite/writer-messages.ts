/** What the main thread and the writer's thread say to each other. */
import type { LoggedEvent, NewEvent } from "@gantry/events";
import type { FolderWork } from "../../ports/metadata.ts";
import type { Change } from "./statements.ts";

/** What the thread is started with. */
export interface WriterData {
  /** Path of the database, which has its schema already. */
  readonly file: string;
  readonly service: string;
}

/** One transaction. */
export interface WriteRequest {
  readonly kind: "write";
  readonly id: number;
  readonly changes: readonly Change[];
  readonly events: readonly NewEvent[];
  /** What the disk refuses is kept and tried again: it has happened and cannot be taken back. */
  readonly surely: boolean;
  /** Never with `surely`. */
  readonly folders?: FolderWork;
}

/** A question about the event log. */
export type LogQuestion =
  | { readonly ask: "read"; readonly after: number; readonly upTo: number; readonly limit: number }
  | { readonly ask: "firstSeq" }
  | { readonly ask: "lastSeq" }
  | { readonly ask: "seqBefore"; readonly timeNano: bigint };

export type WriterRequest =
  | WriteRequest
  | { readonly kind: "ask"; readonly id: number; readonly question: LogQuestion }
  | { readonly kind: "published"; readonly seq: number }
  | { readonly kind: "close" };

/** A failure of SQLite or of a folder's change, as far as it crosses threads. */
export interface WriterFailure {
  readonly message: string;
  /** SQLite's result code without its extension; 0 when it was no failure of SQLite. */
  readonly code: number;
  /** Of a folder: Node's name of the error, `ENOSPC`. */
  readonly errno?: string;
  /** The records are written all the same. */
  readonly written?: boolean;
}

/** How one request went. */
export interface WriterAnswer {
  readonly id: number;
  /** Answer to a question. */
  readonly value?: LoggedEvent[] | number;
  readonly failure?: WriterFailure;
  /** With `failure`: the write is kept, and tried again. */
  readonly kept?: boolean;
}

export type WriterMessage =
  | { readonly kind: "ready" }
  | {
      readonly kind: "done";
      /** What was committed, in order; to be shown before anybody has their answer. */
      readonly events: readonly LoggedEvent[];
      readonly answers: readonly WriterAnswer[];
      /** Writes that wait for the disk to take them. */
      readonly waiting: number;
    }
  | {
      readonly kind: "closed";
      /** Writes that the disk has refused to the end. */
      readonly lost: number;
      /** Why the first of them, or the closing itself, has failed. */
      readonly failure?: WriterFailure;
    };
