/** Execs in memory. */
import { notFound } from "@gantry/errors";
import type { ExecRecord } from "../domain/exec-record.ts";

/** An exec and those who wait for it. */
export interface ExecEntry {
  record: ExecRecord;
  /** Resolves when the process runs, or has failed to. */
  readonly started: PromiseWithResolvers<undefined>;
  /** Resolves with the exit code. */
  readonly ended: PromiseWithResolvers<number>;
  /** Resolves when its client has detached by keys. */
  readonly detached: PromiseWithResolvers<undefined>;
  /** Seen ended by the last sweep: the next one forgets it. */
  swept: boolean;
  /** Ours (a health probe): not kept on disk, and forgotten when it has ended. */
  readonly transient: boolean;
}

/** All execs of this engine. */
export interface ExecTable {
  /** Throws not_found in Docker's words. */
  find(id: string): ExecEntry;
  byId(id: string): ExecEntry | undefined;
  add(record: ExecRecord, transient?: boolean): ExecEntry;
  /** Of one container. */
  of(containerId: string): ExecEntry[];
  remove(id: string): void;
  all(): ExecEntry[];
}

export function openExecTable(): ExecTable {
  const entries = new Map<string, ExecEntry>();
  const byContainer = new Map<string, Set<string>>();
  return {
    find(id) {
      const entry = entries.get(id);
      if (entry === undefined) throw notFound("exec", id);
      return entry;
    },
    byId: (id) => entries.get(id),
    add(record, transient = false) {
      const entry: ExecEntry = {
        record,
        started: Promise.withResolvers(),
        ended: Promise.withResolvers(),
        detached: Promise.withResolvers(),
        swept: false,
        transient,
      };
      if (record.state.status === "ended") {
        entry.started.resolve(undefined);
        entry.ended.resolve(record.state.exitCode);
      }
      entries.set(record.id, entry);
      const ids = byContainer.get(record.containerId) ?? new Set();
      byContainer.set(record.containerId, ids.add(record.id));
      return entry;
    },
    of: (containerId) =>
      [...(byContainer.get(containerId) ?? [])].flatMap((id) => entries.get(id) ?? []),
    remove(id) {
      const entry = entries.get(id);
      if (entry === undefined) return;
      entries.delete(id);
      const ids = byContainer.get(entry.record.containerId);
      ids?.delete(id);
      if (ids?.size === 0) byContainer.delete(entry.record.containerId);
    },
    all: () => [...entries.values()],
  };
}
