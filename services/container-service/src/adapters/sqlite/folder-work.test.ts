import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { createLogger } from "@gantry/logging";
import { FoldersMissing } from "../../ports/metadata.ts";
import { type Database, openDatabase } from "./database.ts";
import { change } from "./statements.ts";

const put = change("putDocument", "volume", "one", "{}");
const remove = change("removeDocument", "volume", "one");
const event = { type: "volume", action: "create", actorId: "one", attributes: {} };
/** The table takes no text there. */
const refused = change("insertContainer", "id", "name", "", "", "", "");

describe("a write with folders", () => {
  let dir: string;
  let database: Database;
  const at = (name: string): string => path.join(dir, name);
  const logger = createLogger({ service: "test", level: "error" });

  beforeEach(async () => {
    dir = mkdtempSync(path.join(tmpdir(), "gantry-folders-"));
    database = await openDatabase(at("data"), logger);
  });
  afterEach(async () => {
    await database.close();
    rmSync(dir, { recursive: true });
  });

  /** What is in the database, read as after a restart. */
  async function kept(): Promise<{ documents: number; events: number }> {
    const events = await database.writer.ask({ ask: "read", after: 0, upTo: 10, limit: 10 });
    await database.close();
    database = await openDatabase(at("data"), logger);
    return { documents: database.take("documents").length, events: (events as unknown[]).length };
  }

  it("makes and moves them; what is there, and what is missing, is fine", async () => {
    const making = {
      before: [{ make: at("a"), mode: 0o700 }],
      after: [{ make: at("a/b"), mode: 0o755 }],
    };
    await database.writer.write([put], [event], making);
    await database.writer.write([put], [], making);
    assert.deepEqual(readdirSync(at("a")), ["b"]);
    const moving = { before: [{ move: at("a"), to: at("trash") }] };
    await database.writer.write([remove], [], moving);
    await database.writer.write([remove], [], moving);
    assert.deepEqual(readdirSync(at("trash")), ["b"]);
    assert.deepEqual(await kept(), { documents: 0, events: 1 });
  });

  it("writes nothing when a step before it fails, and takes back the other steps", async () => {
    const before = [
      { move: at("none"), to: at("x") },
      { make: at("a"), mode: 0o700 },
      { make: at("missing/b"), mode: 0o700 },
    ];
    await assert.rejects(database.writer.write([put], [event], { before }), {
      kind: "internal",
      message: `mkdir ${at("missing/b")}: no such file or directory`,
    });
    assert.equal(existsSync(at("a")), false);
    assert.deepEqual(await kept(), { documents: 0, events: 0 });
  });

  it("takes them back when the database refuses the write", async () => {
    await database.writer.write([put], [], { before: [{ make: at("a"), mode: 0o700 }] });
    writeFileSync(at("a/file"), "");
    const before = [{ move: at("a"), to: at("trash") }];
    await assert.rejects(database.writer.write([remove, refused], [event], { before }), {
      message: /cannot store TEXT/,
    });
    assert.deepEqual(readdirSync(at("a")), ["file"]);
    assert.deepEqual(await kept(), { documents: 1, events: 0 });
  });

  it("says that the records are written when a step after it fails", async () => {
    const after = [{ make: at("missing/b"), mode: 0o700 }];
    await assert.rejects(database.writer.write([put], [event], { after }), FoldersMissing);
    assert.deepEqual(await kept(), { documents: 1, events: 1 });
  });
});
