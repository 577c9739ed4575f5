/** What is written to the database, by name: the main thread asks, the writer's thread runs it. */
import type { SQLInputValue } from "node:sqlite";

/** Changes of state. Parameters are in the order of the question marks. */
export const statements = {
  insertContainer:
    "INSERT INTO containers (id, name, config, host_config, facts, progress) VALUES (?, ?, ?, ?, ?, ?)",
  setProgress: "UPDATE containers SET progress = ? WHERE id = ?",
  setFacts: "UPDATE containers SET facts = ? WHERE id = ?",
  setName: "UPDATE containers SET name = ? WHERE id = ?",
  setConfig: "UPDATE containers SET config = ? WHERE id = ?",
  setHostConfig: "UPDATE containers SET host_config = ? WHERE id = ?",
  removeContainer: "DELETE FROM containers WHERE id = ?",
  putExec: "INSERT OR REPLACE INTO execs (id, container_id, record) VALUES (?, ?, ?)",
  removeExec: "DELETE FROM execs WHERE id = ?",
  removeExecsOf: "DELETE FROM execs WHERE container_id = ?",
  // A probe may end when the container is gone.
  putHealth:
    "INSERT OR REPLACE INTO health (container_id, health) SELECT id, ? FROM containers WHERE id = ?",
  removeHealth: "DELETE FROM health WHERE container_id = ?",
  putDocument: "INSERT OR REPLACE INTO documents (collection, key, value) VALUES (?, ?, ?)",
  removeDocument: "DELETE FROM documents WHERE collection = ? AND key = ?",
} as const;

/** One statement with its parameters. */
export interface Change {
  readonly statement: keyof typeof statements;
  readonly parameters: readonly SQLInputValue[];
}

export function change(
  statement: keyof typeof statements,
  ...parameters: readonly SQLInputValue[]
): Change {
  return { statement, parameters };
}
