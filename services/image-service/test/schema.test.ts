/** Databases of other versions: 1 is taken over with all it holds, newer ones are refused. */
import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { load, openImageService, save, type TestService } from "./image-client.ts";
import { archiveOf, twoLayers } from "./sample-images.ts";

/** The tables as version 1 made them. */
const version1 = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE images (
    digest TEXT PRIMARY KEY, media_type TEXT NOT NULL, size_bytes INTEGER NOT NULL, added_nano INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE names (
    name TEXT PRIMARY KEY, digest TEXT NOT NULL, tagged_nano INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE blobs (digest TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE blob_sources (
    digest TEXT NOT NULL, host TEXT NOT NULL, repository TEXT NOT NULL, PRIMARY KEY (digest, host, repository)
  ) WITHOUT ROWID;
  CREATE TABLE snapshots (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, parent TEXT NOT NULL,
    size_bytes INTEGER NOT NULL, inodes INTEGER NOT NULL, created_nano INTEGER NOT NULL, lease_owner TEXT NOT NULL
  );
  CREATE TABLE leases (owner TEXT PRIMARY KEY, expires_nano INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE lease_resources (
    owner TEXT NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (owner, type, id)
  ) WITHOUT ROWID;
`;

const copied: Readonly<Record<string, string>> = {
  images: "*",
  names: "*",
  blobs: "*",
  blob_sources: "*",
  leases: "*",
  lease_resources: "*",
  snapshots: "id, key, kind, parent, size_bytes, inodes, created_nano, lease_owner",
};

/** Puts a database of version 1 with the same contents in the place of the present one. */
function makeVersion1(file: string, storeId: string): void {
  const current = new DatabaseSync(file);
  const old = `${file}.old`;
  const db = new DatabaseSync(old);
  db.exec(version1);
  db.prepare("INSERT INTO meta VALUES ('schema', '1'), ('store_id', ?)").run(storeId);
  db.close();
  current.exec(`ATTACH '${old}' AS old`);
  for (const [table, columns] of Object.entries(copied)) {
    current.exec(`INSERT INTO old.${table} SELECT ${columns} FROM main.${table}`);
  }
  current.close();
  // Both are closed, so neither has a log beside it.
  for (const suffix of ["", "-wal", "-shm"]) rmSync(`${file}${suffix}`, { force: true });
  const moved = new DatabaseSync(old);
  moved.exec(`VACUUM INTO '${file}'`);
  moved.close();
  rmSync(old);
}

async function contents(service: TestService) {
  const { images } = await service.images.listImages({ sharedSize: true });
  const { snapshots } = await service.snapshots.listSnapshots({ layers: true });
  const { leases } = await service.content.listLeases({});
  for (const { resources } of leases) resources.sort((one, other) => (one.id < other.id ? -1 : 1));
  const { layersSizeBytes } = await service.images.getDiskUsage({});
  const archive = await save(service, ["demo:1"]);
  return { images, snapshots, leases, layersSizeBytes, archiveBytes: archive.length };
}

describe("the database", () => {
  it("of version 1 is taken over: images, layers and leases are the same, and new ones are kept", async () => {
    await using service = await openImageService();
    await load(service, await archiveOf(await twoLayers(), "demo:1"));
    const { chainId } = await service.images.resolveImage({ image: "demo:1", leaseOwner: "box" });
    await service.snapshots.prepareSnapshot({
      key: "box",
      parentChainId: chainId,
      leaseOwner: "box",
    });
    const before = await contents(service);
    await service.process.end("SIGTERM");
    const file = path.join(service.dataDir, "metadata.db");
    makeVersion1(file, readFileSync(path.join(service.dataDir, "store-id"), "utf8").trim());
    await service.restart();
    assert.deepEqual(await contents(service), before);
    assert.ok((await service.snapshots.getMounts({ key: "box" })).mount?.upperDir);
    await load(service, await archiveOf(await twoLayers({ Cmd: ["other"] }), "other:1"));
    await service.restart("SIGTERM");
    const db = new DatabaseSync(file);
    assert.equal(db.prepare("SELECT value FROM meta WHERE key = 'schema'").get()?.["value"], "2");
    db.close();
    await service.images.resolveImage({ image: "other:1" });
  });

  it("of a newer version is refused and stays as it is", async () => {
    await using service = await openImageService();
    await service.process.end("SIGTERM");
    const db = new DatabaseSync(path.join(service.dataDir, "metadata.db"));
    const set = db.prepare("UPDATE meta SET value = ? WHERE key = 'schema'");
    set.run("3");
    await assert.rejects(service.restart(), /has schema 3, and this program knows 2/);
    assert.equal(db.prepare("SELECT value FROM meta WHERE key = 'schema'").get()?.["value"], "3");
    db.close();
  });
});
