import assert from "node:assert/strict";
import { statSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { it } from "node:test";
import { openLoopFilesystem } from "@gantry/testkit/loop-filesystem";
import { reserveLogSpace } from "../lib/index.ts";

const mebibyte = 2 ** 20;

it("a database goes on writing on a full disk, for as long as its log is", async () => {
  await using disk = await openLoopFilesystem(16 * mebibyte);
  const file = path.join(disk.path, "state.db");
  using db = new DatabaseSync(file);
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE t (value BLOB)");
  const { size } = statSync(`${file}-wal`);
  await reserveLogSpace(file);
  assert.equal(statSync(`${file}-wal`).size, size);
  await disk.fill();
  const put = db.prepare("INSERT INTO t VALUES (?)");
  for (let count = 0; count < 100; count++) put.run(Buffer.alloc(4000, count));
  assert.equal(db.prepare("SELECT count(*) AS count FROM t").get()?.["count"], 100);
  await assert.rejects(reserveLogSpace(path.join(disk.path, "nothing")), { code: "ENOENT" });
});

it("says so when there is not so much", async () => {
  await using disk = await openLoopFilesystem(16 * mebibyte);
  const file = path.join(disk.path, "state.db");
  using db = new DatabaseSync(file);
  db.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (value BLOB)");
  await disk.fill();
  await assert.rejects(reserveLogSpace(file), { code: "ENOSPC" });
});
