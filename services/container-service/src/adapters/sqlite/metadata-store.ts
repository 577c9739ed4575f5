/** MetadataStore (documents of networks and volumes) over the database. */
import type { DocumentChange, MetadataStore } from "../../ports/metadata.ts";
import type { Database } from "./database.ts";

export function openMetadataStore(database: Database): MetadataStore {
  const { db, log } = database;
  const read = db.prepare("SELECT key, value FROM documents WHERE collection = ?");
  const put = db.prepare(
    "INSERT OR REPLACE INTO documents (collection, key, value) VALUES (?, ?, ?)",
  );
  const remove = db.prepare("DELETE FROM documents WHERE collection = ? AND key = ?");
  const apply = ({ collection, key, value }: DocumentChange): void => {
    if (value === undefined) remove.run(collection, key);
    else put.run(collection, key, JSON.stringify(value));
  };
  return {
    load: (collection) =>
      new Map(
        read
          .all(collection)
          .map((row): [string, unknown] => [String(row["key"]), JSON.parse(String(row["value"]))]),
      ),
    async commit(changes, events, { durable = false } = {}) {
      database.transaction(() => {
        for (const change of changes) apply(change);
        for (const event of events) log.append(event);
      });
      if (durable) await database.synced();
    },
  };
}
