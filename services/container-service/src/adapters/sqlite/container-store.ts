/** ContainerStore over the database. */
import type { StatementSync } from "node:sqlite";
import type { NewEvent } from "@gantry/events";
import type { Logger } from "@gantry/logging";
import type { ContainerRecord } from "../../domain/container-record.ts";
import type { ExecRecord } from "../../domain/exec-record.ts";
import type { ContainerStore } from "../../ports/container-store.ts";
import type { Database } from "./database.ts";
import {
  type ContainerRow,
  decodeJson,
  decodeRecord,
  encodeConfig,
  encodeHostConfig,
  encodeJson,
  encodeProgress,
  encodeRecord,
} from "./record-codec.ts";

/** Pause before a refused write is tried again. */
const retryMs = 1000;

/** Opens the store. Dispose to stop trying again. */
export function openContainerStore(
  database: Database,
  logger: Logger,
): ContainerStore & Disposable {
  return new SqliteContainerStore(database, logger);
}

class SqliteContainerStore implements ContainerStore, Disposable {
  readonly #database: Database;
  readonly #logger: Logger;
  readonly #statements: Statements;
  /** Writes that the disk refused, in order. */
  readonly #refused: (() => void)[] = [];
  #retry: NodeJS.Timeout | undefined;

  constructor(database: Database, logger: Logger) {
    this.#database = database;
    this.#logger = logger;
    this.#statements = prepare(database);
  }

  loadContainers(): ContainerRecord[] {
    const rows = this.#statements.allContainers.all() as unknown as ContainerRow[];
    return rows.map(decodeRecord);
  }

  loadExecs(): ExecRecord[] {
    return this.#statements.allExecs
      .all()
      .map((row) => decodeJson(String(row["record"])) as ExecRecord);
  }

  insert(record: ContainerRecord, events: readonly NewEvent[]): void {
    const row = encodeRecord(record);
    this.#commit(events, () => {
      const { id, name, config, host_config, facts, progress } = row;
      this.#statements.insert.run(id, name, config, host_config, facts, progress);
    });
  }

  replace(previous: ContainerRecord, next: ContainerRecord, events: readonly NewEvent[]): void {
    this.#commit(events, () => {
      this.#write(previous, next);
    });
  }

  replaceSurely(
    previous: ContainerRecord,
    next: ContainerRecord,
    events: readonly NewEvent[],
  ): void {
    const attempt = (): void => {
      this.replace(previous, next, events);
    };
    if (this.#refused.length > 0) {
      this.#refused.push(attempt);
      return;
    }
    try {
      attempt();
    } catch (error) {
      this.#logger.error({ err: error, container: next.id }, "state is not written, trying again");
      this.#refused.push(attempt);
      this.#scheduleRetry();
    }
  }

  remove(id: string, events: readonly NewEvent[]): void {
    this.#commit(events, () => {
      this.#statements.removeExecsOf.run(id);
      this.#statements.remove.run(id);
    });
  }

  putExec(exec: ExecRecord, events: readonly NewEvent[]): void {
    this.#commit(events, () => {
      this.#statements.putExec.run(exec.id, exec.containerId, encodeJson(exec));
    });
  }

  removeExecs(ids: readonly string[]): void {
    if (ids.length === 0) return;
    this.#commit([], () => {
      for (const id of ids) this.#statements.removeExec.run(id);
    });
  }

  append(events: readonly NewEvent[]): void {
    if (events.length === 0) return;
    try {
      this.#commit(events, () => undefined);
    } catch (error) {
      const actions = events.map((event) => event.action);
      this.#logger.error({ err: error, actions }, "events are lost");
    }
  }

  synced(): Promise<void> {
    return this.#database.synced();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#retry);
  }

  #commit(events: readonly NewEvent[], change: () => void): void {
    this.#database.transaction(() => {
      change();
      for (const event of events) this.#database.log.append(event);
    });
  }

  #write(previous: ContainerRecord, next: ContainerRecord): void {
    const { id } = next;
    this.#statements.progress.run(encodeProgress(next), id);
    if (next.name !== previous.name) this.#statements.rename.run(next.name, id);
    if (next.config !== previous.config) this.#statements.config.run(encodeConfig(next), id);
    if (next.hostConfig !== previous.hostConfig) {
      this.#statements.hostConfig.run(encodeHostConfig(next), id);
    }
  }

  #scheduleRetry(): void {
    this.#retry = setTimeout(() => {
      this.#tryAgain();
    }, retryMs);
  }

  #tryAgain(): void {
    try {
      for (let first = this.#refused[0]; first !== undefined; first = this.#refused[0]) {
        first();
        this.#refused.shift();
      }
      this.#logger.info({}, "state is written again");
    } catch (error) {
      this.#logger.debug({ err: error, waiting: this.#refused.length }, "state is still refused");
      this.#scheduleRetry();
    }
  }
}

interface Statements {
  readonly allContainers: StatementSync;
  readonly allExecs: StatementSync;
  readonly insert: StatementSync;
  readonly progress: StatementSync;
  readonly rename: StatementSync;
  readonly config: StatementSync;
  readonly hostConfig: StatementSync;
  readonly remove: StatementSync;
  readonly putExec: StatementSync;
  readonly removeExec: StatementSync;
  readonly removeExecsOf: StatementSync;
}

function prepare({ db }: Database): Statements {
  return {
    allContainers: db.prepare("SELECT * FROM containers"),
    allExecs: db.prepare("SELECT record FROM execs"),
    insert: db.prepare(
      "INSERT INTO containers (id, name, config, host_config, facts, progress) VALUES (?, ?, ?, ?, ?, ?)",
    ),
    progress: db.prepare("UPDATE containers SET progress = ? WHERE id = ?"),
    rename: db.prepare("UPDATE containers SET name = ? WHERE id = ?"),
    config: db.prepare("UPDATE containers SET config = ? WHERE id = ?"),
    hostConfig: db.prepare("UPDATE containers SET host_config = ? WHERE id = ?"),
    remove: db.prepare("DELETE FROM containers WHERE id = ?"),
    putExec: db.prepare("INSERT OR REPLACE INTO execs (id, container_id, record) VALUES (?, ?, ?)"),
    removeExec: db.prepare("DELETE FROM execs WHERE id = ?"),
    removeExecsOf: db.prepare("DELETE FROM execs WHERE container_id = ?"),
  };
}
