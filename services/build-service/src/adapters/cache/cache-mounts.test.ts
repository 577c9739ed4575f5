import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { CacheMountRequest, CacheMounts } from "../../ports/cache-mounts.ts";
import { openCacheMounts } from "./cache-mounts.ts";
import { openSqliteCache } from "./sqlite-cache.ts";

const { signal } = new AbortController();

function openMounts(t: TestContext): CacheMounts {
  const folder = mkdtempSync(path.join(tmpdir(), "gantry-cache-"));
  t.after(() => {
    cache[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  });
  const cache = openSqliteCache(folder);
  return openCacheMounts(folder, cache, () => undefined);
}

const request = (seed?: CacheMountRequest["seed"], mode = 0o755): CacheMountRequest => ({
  ...{ id: "c", sharing: "shared", uid: 0, gid: 0, mode, description: "", reset: false, seed },
});

const inodeOf = (folder: string): number => statSync(folder).ino;

describe("the folder of a cache mount", () => {
  it("stays for who has it mounted, when it is empty and the next one comes", async (t) => {
    const mounts = openMounts(t);
    await using one = await mounts.take(request(), signal);
    const inode = inodeOf(one.path);
    await using other = await mounts.take(request(undefined, 0o700), signal);
    assert.equal(other.path, one.path);
    assert.equal(inodeOf(one.path), inode);
    assert.equal(statSync(one.path).mode & 0o777, 0o755);
  });

  it("is filled once, and whole for who comes meanwhile", async (t) => {
    const mounts = openMounts(t);
    const seeded = Promise.withResolvers<undefined>();
    const begun = Promise.withResolvers<undefined>();
    const one = mounts.take(
      request(async (folder) => {
        writeFileSync(path.join(folder, "first"), "");
        begun.resolve(undefined);
        await seeded.promise;
        writeFileSync(path.join(folder, "last"), "");
      }),
      signal,
    );
    await begun.promise;
    const other = mounts.take(
      request((folder) => {
        writeFileSync(path.join(folder, "again"), "");
        return Promise.resolve();
      }),
      signal,
    );
    seeded.resolve(undefined);
    await using _one = await one;
    await using second = await other;
    assert.deepEqual(readdirSync(second.path).sort(), ["first", "last"]);
  });

  it("is filled by the next one when the first could not", async (t) => {
    const mounts = openMounts(t);
    const fails = mounts.take(
      request(() => Promise.reject(new Error("no such stage"))),
      signal,
    );
    const next = mounts.take(
      request((folder) => {
        writeFileSync(path.join(folder, "seed"), "");
        return Promise.resolve();
      }),
      signal,
    );
    await assert.rejects(fails, /no such stage/);
    await using taken = await next;
    assert.deepEqual(readdirSync(taken.path), ["seed"]);
    assert.deepEqual(readdirSync(path.dirname(taken.path)), ["files"]);
  });
});
