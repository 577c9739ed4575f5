/**
 * The records of containers on disk. There is one writer, and every call is one transaction together
 * with the events that it causes. Calls return when the transaction is committed (safe from a crash
 * of ours, not yet from a power cut); `synced` waits for the disk, off the event loop.
 */
import type { NewEvent } from "@gantry/events";
import type { ContainerRecord } from "../domain/container-record.ts";
import type { ExecRecord } from "../domain/exec-record.ts";

export interface ContainerStore {
  /** All records. At boot only. */
  loadContainers(): ContainerRecord[];
  /** All execs that were declared and whose container has not ended since. At boot only. */
  loadExecs(): ExecRecord[];
  /** Adds a record. Errors: internal, resource_exhausted (disk full); nothing is kept then. */
  insert(record: ContainerRecord, events: readonly NewEvent[]): void;
  /** Replaces a record; only what differs is written. Errors as insert. */
  replace(previous: ContainerRecord, next: ContainerRecord, events: readonly NewEvent[]): void;
  /**
   * As replace, for what has happened and cannot be refused: when the disk refuses, the change is
   * kept in memory and tried again until it is written. Never throws.
   */
  replaceSurely(
    previous: ContainerRecord,
    next: ContainerRecord,
    events: readonly NewEvent[],
  ): void;
  /** Removes a record. Errors as insert. */
  remove(id: string, events: readonly NewEvent[]): void;
  /** Keeps an exec, so that it can be asked about after a restart of ours. Errors as insert. */
  putExec(exec: ExecRecord, events: readonly NewEvent[]): void;
  /** Forgets execs. */
  removeExecs(ids: readonly string[]): void;
  /** Appends events that go with no change. Never throws: a full disk loses them, and says so in the log. */
  append(events: readonly NewEvent[]): void;
  /** Resolves when everything committed before is on stable storage. Calls share one flush. */
  synced(): Promise<void>;
}
