/**
 * The records of containers on disk. There is one writer, and every call is one transaction together
 * with the events that it causes; transactions are committed in the order of the calls, on a thread of
 * their own. A call resolves when its transaction is committed (safe from a crash of ours, not yet from a
 * power cut); `synced` waits for the disk.
 */
import type { NewEvent } from "@gantry/events";
import type { ContainerRecord } from "../domain/container-record.ts";
import type { ExecRecord } from "../domain/exec-record.ts";
import type { KeptHealth } from "../domain/health.ts";

export interface ContainerStore {
  /** All records. At boot, once. */
  loadContainers(): ContainerRecord[];
  /** All execs that were declared and whose container has not ended since. At boot, once. */
  loadExecs(): ExecRecord[];
  /** Health by container. At boot, once. */
  loadHealth(): ReadonlyMap<string, KeptHealth>;
  /** Adds a record. Errors: internal (also for a full disk); nothing is kept then. */
  insert(record: ContainerRecord, events: readonly NewEvent[]): Promise<void>;
  /** Replaces a record; only what differs is written. Errors as insert. */
  replace(
    previous: ContainerRecord,
    next: ContainerRecord,
    events: readonly NewEvent[],
  ): Promise<void>;
  /**
   * As replace, for what has happened and cannot be refused: when the disk refuses, the change is
   * kept in memory and tried again until it is written. Resolves when it was tried. Never rejects.
   */
  replaceSurely(
    previous: ContainerRecord,
    next: ContainerRecord,
    events: readonly NewEvent[],
  ): Promise<void>;
  /** Removes a record. Errors as insert. */
  remove(id: string, events: readonly NewEvent[]): Promise<void>;
  /** Keeps an exec, so that it can be asked about after a restart of ours. Errors as insert. */
  putExec(exec: ExecRecord, events: readonly NewEvent[]): Promise<void>;
  /** Forgets execs. What fails is logged. */
  removeExecs(ids: readonly string[]): void;
  /** Keeps a container's health, until the container is removed. A full disk loses it, and the log says so. */
  putHealth(containerId: string, health: KeptHealth, events: readonly NewEvent[]): void;
  /** Appends events that go with no change. A full disk loses them, and the log says so. */
  append(events: readonly NewEvent[]): void;
  /**
   * Resolves when all that was handed over before is committed, or known to be refused: from then on
   * readers of the event log see it. Never rejects.
   */
  settled(): Promise<void>;
  /** Resolves when everything committed before is on stable storage. Calls share one flush. */
  synced(): Promise<void>;
  /** As synced, within a second and without anybody waiting; a failure is logged. */
  syncSoon(): void;
}
