import assert from "node:assert/strict";
import { readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { openTempDir } from "@gantry/fs";
import { openLogFiles } from "./log-files.ts";

const lines = Array.from({ length: 20_000 }, (_, index) => `line ${String(index)}`);

/** A log of several reads, and its reader. */
async function opened(t: TestContext, { follow }: { readonly follow: boolean }) {
  const folder = await openTempDir("gantry-log-");
  t.after(() => folder.close());
  const file = path.join(folder.path, "json.log");
  writeFileSync(file, lines.map((line) => `${line}\n`).join(""));
  const ended = Promise.withResolvers<undefined>();
  const signal = new AbortController().signal;
  const options = { tail: undefined, follow, ended: ended.promise, signal };
  return { file, folder: folder.path, ended, log: await openLogFiles().open(file, options) };
}

/** Descriptors of this process that lead below a folder, watches apart. */
const openBelow = (folder: string): string[] =>
  readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith(folder) ? [target] : [];
    } catch {
      return [];
    }
  });

describe("an opened log", () => {
  for (const follow of [false, true]) {
    it(`is read whole though it was removed meanwhile${follow ? ", followed" : ""}`, async (t) => {
      const { folder, ended, log } = await opened(t, { follow });
      rmSync(folder, { recursive: true });
      ended.resolve(undefined);
      const read: string[] = [];
      for await (const batch of log.batches) read.push(...batch.map(String));
      assert.deepEqual(read, lines);
    });

    // A handle that is left to the garbage collector ends the service.
    it(`is closed when its reader leaves early${follow ? ", followed" : ""}`, async (t) => {
      const { folder, log } = await opened(t, { follow });
      assert.equal(openBelow(folder).length, 1);
      for await (const batch of log.batches) {
        assert.ok(batch.length < lines.length);
        break;
      }
      assert.deepEqual(openBelow(folder), []);
    });

    it(`is closed when nobody reads it${follow ? ", followed" : ""}`, async (t) => {
      const { folder, log } = await opened(t, { follow });
      await log.close();
      assert.deepEqual(openBelow(folder), []);
    });
  }
});
