import assert from "node:assert/strict";
import fs from "node:fs";
import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import { parseCursor } from "@gantry/events";
import { openTempDir } from "@gantry/fs";
import { createLogger, silentLogger } from "@gantry/logging";
import { startingHealth } from "../../domain/health.ts";
import { openContainerStore } from "./container-store.ts";
import { type Database, openDatabase } from "./database.ts";

describe("a flush that nobody waits for", () => {
  let dir: string;
  let database: Database;
  let flushes: number;
  let flushed: PromiseWithResolvers<void>;

  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), "gantry-database-"));
    flushes = 0;
    flushed = Promise.withResolvers();
    const real = fs.fdatasync;
    mock.method(fs, "fdatasync", (fd: number, done: fs.NoParamCallback) => {
      real(fd, (error) => {
        flushes++;
        done(error);
        flushed.resolve();
      });
    });
    syncBuiltinESMExports();
    database = await openDatabase(dir, createLogger({ service: "test", level: "error" }));
    mock.timers.enable({ apis: ["setTimeout"] });
  });
  afterEach(async () => {
    mock.timers.reset();
    mock.restoreAll();
    syncBuiltinESMExports();
    await database.close();
    await rm(dir, { recursive: true });
  });

  it("comes once within a second, however many ask", async () => {
    database.syncSoon();
    database.syncSoon();
    mock.timers.tick(1000);
    await flushed.promise;
    mock.timers.tick(5000);
    assert.equal(flushes, 1);
  });

  it("is the one that somebody waited for meanwhile", async () => {
    database.syncSoon();
    await database.synced();
    mock.timers.tick(5000);
    await database.synced();
    assert.equal(flushes, 2, "the two that were waited for");
  });
});

describe("who follows the log from now on", () => {
  it("misses nothing that is written from then on, together with what was written before", async () => {
    await using folder = await openTempDir("gantry-database-");
    const database = await openDatabase(folder.path, silentLogger());
    const leave = new AbortController();
    const write = (action: string): Promise<void> =>
      database.writer.write([], [{ type: "container", action, actorId: "a", attributes: {} }]);
    const steps = database.log.subscribe({ signal: leave.signal });
    // The writer's thread gets all of it at once, and tells of it at once.
    const written = write("before");
    const opened = steps.next();
    await Promise.all([written, write("after"), write("last")]);
    assert.equal(parseCursor((await opened).value?.cursor ?? "").seq, 1);
    const shown = [await steps.next(), await steps.next()].map(({ value }) => value?.event?.action);
    assert.deepEqual(shown, ["after", "last"]);
    leave.abort();
    await database.close();
  });
});

describe("the ID of a new store", () => {
  it("is in the database itself, not in its log, when the file beside it is there", async () => {
    const dir = await mkdtemp(path.join(tmpdir(), "gantry-database-"));
    const database = await openDatabase(dir, createLogger({ service: "test", level: "error" }));
    try {
      // What a loss of power is sure to leave.
      const left = path.join(dir, "left.db");
      await copyFile(database.file, left);
      const copy = new DatabaseSync(left);
      const row = copy.prepare("SELECT value FROM meta WHERE key = 'store_id'").get();
      copy.close();
      const beside = await readFile(path.join(dir, "store-id"), "utf8");
      assert.equal(`${String(row?.["value"])}\n`, beside);
    } finally {
      await database.close();
      await rm(dir, { recursive: true });
    }
  });
});

describe("the health of a container that is gone", () => {
  it("is not kept, when its last probe ends after its removal", async () => {
    const dir = await mkdtemp(path.join(tmpdir(), "gantry-database-"));
    const logger = createLogger({ service: "test", level: "error" });
    try {
      const database = await openDatabase(dir, logger);
      const health = { ...startingHealth, runStartedNano: 1n, nextProbe: "probe" };
      openContainerStore(database, dir, logger).putHealth("gone", health, []);
      await database.close();
      const again = await openDatabase(dir, logger);
      const rows = again.take("health");
      await again.close();
      assert.deepEqual(rows, []);
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});
