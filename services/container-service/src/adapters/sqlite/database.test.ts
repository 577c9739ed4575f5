import assert from "node:assert/strict";
import fs from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import { createLogger } from "@gantry/logging";
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
