import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it } from "node:test";
import { openLoopFilesystem } from "@gantry/testkit/loop-filesystem";
import { openSqliteCache } from "./sqlite-cache.ts";

describe("the cache's blobs that a layer may be like", () => {
  it("are those of the same step, newest first, and not many", (t) => {
    const folder = mkdtempSync(path.join(tmpdir(), "gantry-cache-"));
    t.after(() => {
      rmSync(folder, { recursive: true });
    });
    using cache = openSqliteCache(folder);
    const put = (name: string, description: string, created: bigint, packed: boolean): void => {
      const fixed = { key: name, type: "regular", sizeBytes: 1 } as const;
      const entry = { id: name, snapshot: `chain ${name}`, description, createdNano: created };
      cache.put({ ...entry, ...fixed }, [name]);
      const blob = { digest: `blob ${name}`, diffId: "", mediaType: "", sizeBytes: 1 };
      if (packed) cache.putLayer(`chain ${name}`, blob);
    };
    put("one", "COPY . /app", 1n, true);
    put("other", "COPY . /other", 2n, true);
    put("two", "COPY . /app", 3n, true);
    put("not packed", "COPY . /app", 4n, false);
    put("new", "COPY . /app", 5n, false);
    assert.deepEqual(cache.blobsLike("chain new"), ["blob two", "blob one"]);
    assert.deepEqual(cache.blobsLike("chain of nobody"), []);
    for (let more = 10; more < 20; more += 1) put(String(more), "COPY . /app", BigInt(more), true);
    assert.deepEqual(
      cache.blobsLike("chain new"),
      [19, 18, 17, 16].map((each) => `blob ${String(each)}`),
    );
  });
});

describe("a record's uses", () => {
  it("are counted by builds, and not by how often they look for it", (t) => {
    const folder = mkdtempSync(path.join(tmpdir(), "gantry-cache-"));
    t.after(() => {
      rmSync(folder, { recursive: true });
    });
    using cache = openSqliteCache(folder);
    const fixed = {
      snapshot: "layer",
      type: "regular",
      sizeBytes: 1,
      description: "RUN x",
    } as const;
    cache.put({ id: "one", key: "key", createdNano: 5n, ...fixed }, ["key", "other key"]);
    for (const key of ["key", "other key", "key"]) assert.equal(cache.find(key)?.id, "one");
    const idle = cache.list()[0];
    assert.equal(idle?.usageCount, 0);
    assert.ok((idle?.lastUsedNano ?? 0n) > 5n);
    cache.use("one");
    cache.find("key");
    cache.use("one");
    assert.equal(cache.list()[0]?.usageCount, 2);
  });
});

describe("a full disk", () => {
  it("is told of as everywhere else, whatever was to be written", async () => {
    await using disk = await openLoopFilesystem(16 * 2 ** 20);
    using cache = openSqliteCache(disk.path);
    cache.sawStep("kept");
    await disk.fill();
    const fixed = { key: "k", type: "regular", sizeBytes: 1, createdNano: 1n } as const;
    const description = "RUN true".repeat(10_000);
    const text = { kind: "internal", message: "no space left on device" };
    assert.throws(() => {
      cache.put({ ...fixed, id: "i", snapshot: "s", description }, ["i"]);
    }, text);
    const layer = { digest: description, diffId: "", mediaType: "", sizeBytes: 1 };
    assert.throws(() => {
      cache.putLayer("chain", layer);
    }, text);
  });
});
