/** ContainerStore over the database. */
import type { NewEvent } from "@gantry/events";
import type { Logger } from "@gantry/logging";
import type { ContainerRecord } from "../../domain/container-record.ts";
import type { ExecRecord } from "../../domain/exec-record.ts";
import type { KeptHealth } from "../../domain/health.ts";
import type { ContainerStore } from "../../ports/container-store.ts";
import type { Database } from "./database.ts";
import {
  type ContainerRow,
  decodeJson,
  decodeRecord,
  encodeConfig,
  encodeFacts,
  encodeHostConfig,
  encodeJson,
  encodeProgress,
  encodeRecord,
} from "./record-codec.ts";
import { type Change, change } from "./statements.ts";

/** `dataRoot` is the folder of all services' data. */
export function openContainerStore(
  database: Database,
  dataRoot: string,
  logger: Logger,
): ContainerStore {
  return new SqliteContainerStore(database, dataRoot, logger);
}

class SqliteContainerStore implements ContainerStore {
  readonly #database: Database;
  readonly #dataRoot: string;
  readonly #logger: Logger;

  constructor(database: Database, dataRoot: string, logger: Logger) {
    this.#database = database;
    this.#dataRoot = dataRoot;
    this.#logger = logger;
  }

  loadContainers(): ContainerRecord[] {
    const rows = this.#database.take("containers") as unknown as ContainerRow[];
    const records = rows.map((row) => decodeRecord(row, this.#dataRoot));
    for (const { id, buildStep } of records) if (buildStep) this.#database.writer.quiet.add(id);
    return records;
  }

  loadExecs(): ExecRecord[] {
    return this.#database
      .take("execs")
      .map((row) => decodeJson(String(row["record"])) as ExecRecord);
  }

  loadHealth(): ReadonlyMap<string, KeptHealth> {
    return new Map(
      this.#database
        .take("health")
        .map((row) => [
          String(row["container_id"]),
          decodeJson(String(row["health"])) as KeptHealth,
        ]),
    );
  }

  insert(record: ContainerRecord, events: readonly NewEvent[]): Promise<void> {
    const { id, name, config, host_config, facts, progress } = encodeRecord(record, this.#dataRoot);
    if (record.buildStep) this.#database.writer.quiet.add(id);
    return this.#write(
      [change("insertContainer", id, name, config, host_config, facts, progress)],
      events,
    );
  }

  replace(
    previous: ContainerRecord,
    next: ContainerRecord,
    events: readonly NewEvent[],
  ): Promise<void> {
    if (next.buildStep === undefined) this.#database.writer.quiet.delete(next.id);
    return this.#write(this.#differences(previous, next), events);
  }

  replaceSurely(
    previous: ContainerRecord,
    next: ContainerRecord,
    events: readonly NewEvent[],
  ): Promise<void> {
    return this.#database.writer.writeSurely(this.#differences(previous, next), events);
  }

  async remove(id: string, events: readonly NewEvent[]): Promise<void> {
    const parts = [change("removeExecsOf", id), change("removeHealth", id)];
    await this.#write([...parts, change("removeContainer", id)], events);
    this.#database.writer.quiet.delete(id);
  }

  putExec(exec: ExecRecord, events: readonly NewEvent[]): Promise<void> {
    return this.#write([change("putExec", exec.id, exec.containerId, encodeJson(exec))], events);
  }

  removeExecs(ids: readonly string[]): void {
    if (ids.length === 0) return;
    this.#write(
      ids.map((id) => change("removeExec", id)),
      [],
    ).catch((error: unknown) => {
      this.#logger.error({ err: error, execs: ids }, "execs are not removed from the store");
    });
  }

  putHealth(containerId: string, health: KeptHealth, events: readonly NewEvent[]): void {
    this.#write([change("putHealth", encodeJson(health), containerId)], events).catch(
      (error: unknown) => {
        this.#logger.error({ err: error, container: containerId }, "health is not written");
      },
    );
  }

  append(events: readonly NewEvent[]): void {
    if (events.length === 0) return;
    this.#write([], events).catch((error: unknown) => {
      const actions = events.map((event) => event.action);
      this.#logger.error({ err: error, actions }, "events are lost");
    });
  }

  settled(): Promise<void> {
    return this.#database.writer.settled();
  }

  synced(): Promise<void> {
    return this.#database.synced();
  }

  syncSoon(): void {
    this.#database.syncSoon();
  }

  #write(changes: readonly Change[], events: readonly NewEvent[]): Promise<void> {
    return this.#database.writer.write(changes, events);
  }

  #differences(previous: ContainerRecord, next: ContainerRecord): Change[] {
    const { id } = next;
    const facts = (): Change => change("setFacts", encodeFacts(next, this.#dataRoot), id);
    return [
      change("setProgress", encodeProgress(next), id),
      // A step that is kept.
      ...(next.buildStep === previous.buildStep ? [] : [facts()]),
      ...(next.name === previous.name ? [] : [change("setName", next.name, id)]),
      ...(next.config === previous.config ? [] : [change("setConfig", encodeConfig(next), id)]),
      ...(next.hostConfig === previous.hostConfig
        ? []
        : [change("setHostConfig", encodeHostConfig(next), id)]),
    ];
  }
}
