import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { silentLogger } from "@gantry/logging";
import { type LoopFilesystem, openLoopFilesystem } from "@gantry/testkit/loop-filesystem";
import { openDatabase } from "../src/adapters/sqlite/database.ts";
import { change } from "../src/adapters/sqlite/statements.ts";

describe("closing the database on a full disk", () => {
  let disk: LoopFilesystem;
  before(async () => {
    disk = await openLoopFilesystem(32 * 2 ** 20);
  });
  after(async () => {
    await disk[Symbol.asyncDispose]();
  });

  /** Too much for what is left in blocks that SQLite has already. */
  const put = change("putDocument", "volume", "one", JSON.stringify("x".repeat(2 ** 20)));

  it("tells that what was kept to be tried again is lost", async () => {
    const database = await openDatabase(`${disk.path}/lost`, silentLogger());
    const giveBack = await disk.fill();
    try {
      await database.writer.writeSurely([put], []);
      await assert.rejects(database.close(), {
        kind: "internal",
        message: "close container state, 1 writes are lost: database or disk is full",
      });
    } finally {
      await giveBack();
    }
    const again = await openDatabase(`${disk.path}/lost`, silentLogger());
    assert.deepEqual(again.take("documents"), []);
    await again.close();
  });

  it("writes what was kept when there is space again by then, and tells nothing", async () => {
    const database = await openDatabase(`${disk.path}/late`, silentLogger());
    const giveBack = await disk.fill();
    try {
      await database.writer.writeSurely([put], []);
    } finally {
      await giveBack();
    }
    await database.close();
    const again = await openDatabase(`${disk.path}/late`, silentLogger());
    assert.equal(again.take("documents").length, 1);
    await again.close();
  });
});
