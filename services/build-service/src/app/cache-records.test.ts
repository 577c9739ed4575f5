import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { openCacheMounts } from "../adapters/cache/cache-mounts.ts";
import { openSqliteCache } from "../adapters/cache/sqlite-cache.ts";
import type { PruneRequest } from "../ports/build.ts";
import type { CacheMount } from "../ports/cache-mounts.ts";
import type { BuilderParts } from "./builder-parts.ts";
import { pruneRecords } from "./cache-records.ts";
import { InUse } from "./in-use.ts";

const { signal } = new AbortController();
const everything: PruneRequest = {
  ...{ all: true, keepDurationMs: 0, reservedBytes: 0, maxUsedBytes: 0, minFreeBytes: 0 },
  matches: () => true,
};

/** A cache of two layers and two mounts, of which the older ones go first. */
async function openBed(t: TestContext) {
  const folder = mkdtempSync(path.join(tmpdir(), "gantry-cache-"));
  t.after(() => {
    cache[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  });
  const cache = openSqliteCache(folder);
  const inUse = new InUse();
  const cacheMounts = openCacheMounts(folder, cache, (id) => {
    inUse.add(id);
  });
  const released: string[] = [];
  const parts = {
    ...{ cache, cacheMounts, scratchDir: folder, shared: { inUse } },
    layers: {
      list: () => Promise.resolve(new Map()),
      release: (owner: string) => Promise.resolve(void released.push(owner)),
    },
    keptContexts: { list: () => Promise.resolve([]), remove: () => Promise.resolve(true) },
    // Nothing else of a builder is asked for.
  } as unknown as BuilderParts;
  for (const name of ["one", "two"]) {
    const fixed = { type: "regular", sizeBytes: 1, createdNano: 1n } as const;
    cache.put({ ...fixed, id: name, snapshot: `chain ${name}`, key: name, description: "" }, [
      name,
    ]);
    inUse.add(name);
  }
  const take = async (id: string): Promise<CacheMount> =>
    await cacheMounts.take(
      {
        ...{ id, sharing: "shared", uid: 0, gid: 0, mode: 0o755 },
        ...{ description: "", reset: false, seed: undefined },
      },
      signal,
    );
  for (const id of ["first", "second"]) await (await take(id))[Symbol.asyncDispose]();
  return { parts, cache, inUse, released, take };
}

describe("pruning", () => {
  it("deletes what nobody uses, whole", async (t) => {
    const { parts, cache, released } = await openBed(t);
    const deleted = await Array.fromAsync(pruneRecords(parts, everything, signal));
    assert.equal(deleted.length, 4);
    assert.deepEqual(cache.list(), []);
    assert.equal(released.length, 2);
  });

  it("leaves what a build has begun to use since it was listed", async (t) => {
    const { parts, cache, inUse, released, take } = await openBed(t);
    const pruning = pruneRecords(parts, everything, signal);
    const first = await pruning.next();
    assert.ok(first.done !== true);
    // Each of those that are left is wanted now.
    const kept = new Set(["one", "two"].filter((id) => id !== first.value.id && inUse.enter(id)));
    const mounts = [await take("first"), await take("second")];
    const rest = await Array.fromAsync(pruning);
    assert.deepEqual(
      rest.map(({ id }) => id),
      [],
    );
    for (const mount of mounts) assert.ok(existsSync(mount.path));
    for (const id of kept) assert.ok(cache.list().some((entry) => entry.id === id));
    assert.equal(released.length, 2 - kept.size);
    for (const mount of mounts) await mount[Symbol.asyncDispose]();
  });
});
