import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { createLogger } from "@gantry/logging";
import {
  BuildHistoryEventType,
  type BuildHistoryRecord,
  BuildHistoryRecordSchema,
} from "@gantry/proto/buildkit";
import { BuildHistory, type HistoryQuestion } from "./build-history.ts";

const logger = createLogger({ service: "test", level: "fatal" });
const recordOf = (ref: string, second = 0): BuildHistoryRecord =>
  create(BuildHistoryRecordSchema, { ref, createdAt: { seconds: BigInt(second) } });
const all = { ref: "", activeOnly: false, earlyExit: true, limit: 0 };

async function refsOf(history: BuildHistory, question: Partial<HistoryQuestion> = {}) {
  const refs: (string | undefined)[] = [];
  const { signal } = new AbortController();
  for await (const { record } of history.listen({ ...all, ...question }, signal))
    refs.push(record?.ref);
  return refs;
}

describe("the history of builds", () => {
  let dir = "";
  let history: BuildHistory;
  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), "gantry-history-"));
    history = new BuildHistory(dir, logger);
  });
  afterEach(async () => {
    await rm(dir, { recursive: true });
  });

  it("outlives the process, with what belongs to a build", async () => {
    const digest = `sha256:${"a".repeat(64)}`;
    const logs = { mediaType: "x", digest, size: 3n };
    const record = create(BuildHistoryRecordSchema, { ref: "../../one", logs });
    await history.end(record, [{ digest, content: Buffer.from("abc") }]);
    const later = new BuildHistory(dir, logger);
    assert.deepEqual(later.find("../../one"), record);
    assert.equal(Buffer.from(await later.read(digest)).toString(), "abc");
    await assert.rejects(later.read(`sha256:${"b".repeat(64)}`), /not found/);
  });

  it("has the newest first, and as many as are asked for", async () => {
    for (const second of [2, 3, 1]) await history.end(recordOf(String(second), second), []);
    assert.deepEqual(await refsOf(history), ["3", "2", "1"]);
    assert.deepEqual(await refsOf(history, { limit: 2 }), ["3", "2"]);
    assert.deepEqual(await refsOf(history, { ref: "1" }), ["1"]);
    assert.deepEqual(await refsOf(history, { activeOnly: true }), []);
  });

  it("keeps 50, and those that are pinned", async () => {
    await history.end(recordOf("pinned", 0), []);
    await history.pin("pinned", true);
    for (let second = 1; second <= 51; second += 1)
      await history.end(recordOf(String(second), second), []);
    const refs = await refsOf(history);
    assert.equal(refs.length, 51);
    assert.deepEqual(refs.slice(-2), ["2", "pinned"]);
    assert.equal((await readdir(dir)).length, 51);
  });

  it("tells who listens of what begins, ends and is forgotten", async () => {
    history.begin(recordOf("running"));
    const abort = new AbortController();
    const told: unknown[] = [];
    const question = { ...all, earlyExit: false };
    const listening = (async () => {
      for await (const { type, record } of history.listen(question, abort.signal)) {
        told.push([type, record?.ref]);
        if (type === BuildHistoryEventType.DELETED) abort.abort();
      }
    })();
    await history.end(recordOf("running"), []);
    await history.delete("running");
    await history.delete("never there");
    await listening;
    assert.deepEqual(told, [
      [BuildHistoryEventType.STARTED, "running"],
      [BuildHistoryEventType.COMPLETE, "running"],
      [BuildHistoryEventType.DELETED, "running"],
    ]);
    assert.deepEqual(await readdir(dir), []);
  });

  it("takes away what a killed process left, and what it can't read", async () => {
    await history.end(recordOf("good"), []);
    await mkdir(path.join(dir, ".new-x"));
    await mkdir(path.join(dir, "torn"));
    await writeFile(path.join(dir, "torn/record"), Uint8Array.of(0x0a, 0xff));
    const later = new BuildHistory(dir, logger);
    assert.deepEqual(await refsOf(later), ["good"]);
  });
});
