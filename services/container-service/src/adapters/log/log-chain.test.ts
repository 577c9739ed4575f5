import assert from "node:assert/strict";
import { linkSync, writeFileSync } from "node:fs";
import nodePath from "node:path";
import { describe, it, type TestContext } from "node:test";
import { openTempDir } from "@gantry/fs";
import { closeAll, openChain } from "./log-chain.ts";

/** A log of files with these ends of their names. */
async function newLog(
  t: TestContext,
  files: Readonly<Record<string, string>> = {},
): Promise<string> {
  const folder = await openTempDir("gantry-log-");
  t.after(() => folder.close());
  const log = nodePath.join(folder.path, "json.log");
  for (const [end, text] of Object.entries(files)) writeFileSync(log + end, text);
  return log;
}

async function contents(path: string, oldest?: number): Promise<string[]> {
  const chain = await openChain(path, oldest);
  const texts = await Promise.all(chain.map(({ handle }) => handle.readFile("utf8")));
  await closeAll(chain);
  return texts;
}

describe("a chain of log files", () => {
  it("is opened newest first", async (t) => {
    const log = await newLog(t, { "": "c", ".1": "b", ".2": "a" });
    assert.deepEqual(await contents(log), ["c", "b", "a"]);
  });

  it("has no gap while a rotation has emptied a number", async (t) => {
    const log = await newLog(t, { "": "c", ".2": "b", ".3": "a" });
    assert.deepEqual(await contents(log), ["c", "b", "a"]);
  });

  it("has its rotated files while the new one is not made yet", async (t) => {
    const log = await newLog(t, { ".1": "b", ".2": "a" });
    assert.deepEqual(await contents(log), ["b", "a"]);
  });

  it("has no file twice that moved on while the chain was opened", async (t) => {
    const log = await newLog(t, { "": "c", ".1": "b", ".3": "a" });
    linkSync(`${log}.1`, `${log}.2`);
    assert.deepEqual(await contents(log), ["c", "b", "a"]);
  });

  it("ends at the oldest that is wanted", async (t) => {
    const log = await newLog(t, { "": "c", ".1": "b", ".2": "a" });
    const all = await openChain(log);
    await closeAll(all);
    assert.deepEqual(await contents(log, all[1]?.inode), ["c", "b"]);
  });

  it("is empty where no log is", async (t) => {
    assert.deepEqual(await contents(await newLog(t)), []);
  });
});
