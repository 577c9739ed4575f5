/** MetadataStore (documents of networks and volumes) over the database. */
import type { DocumentChange, MetadataStore } from "../../ports/metadata.ts";
import type { Database } from "./database.ts";
import { type Change, change } from "./statements.ts";

export function openMetadataStore(database: Database): MetadataStore {
  const collections = new Map<string, Map<string, unknown>>();
  for (const row of database.take("documents")) {
    const collection = String(row["collection"]);
    const documents = collections.get(collection) ?? new Map<string, unknown>();
    documents.set(String(row["key"]), JSON.parse(String(row["value"])));
    collections.set(collection, documents);
  }
  return {
    load(collection) {
      const documents = collections.get(collection) ?? new Map<string, unknown>();
      collections.delete(collection);
      return documents;
    },
    async commit(changes, events, { durable = false, folders } = {}) {
      await database.writer.write(changes.map(changeOf), events, folders);
      if (durable) await database.synced();
    },
  };
}

function changeOf({ collection, key, value }: DocumentChange): Change {
  return value === undefined
    ? change("removeDocument", collection, key)
    : change("putDocument", collection, key, JSON.stringify(value));
}
