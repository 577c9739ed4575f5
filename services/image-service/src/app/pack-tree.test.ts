import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, it } from "node:test";
import { sha256Digest } from "@gantry/oci";
import { createHolds } from "./holds.ts";
import { packTree } from "./pack-tree.ts";
import type { Store } from "./store.ts";

const emptyArchive = sha256Digest(new Uint8Array(1024));

describe("packing an empty tree", () => {
  const directory = mkdtempSync(path.join(tmpdir(), "gantry-t-"));
  after(() => {
    rmSync(directory, { recursive: true });
  });

  /** A store whose packing program reports `diffId`, and how often it ran. */
  function storeThatPacks(diffId: () => string): { store: Store; runs: () => number } {
    const blobs = new Set<string>();
    let runs = 0;
    const store = {
      emptyTree: { packed: undefined },
      metadata: {
        blobs,
        change: (make: (change: unknown) => void) => {
          make({ putBlob: ({ digest }: { digest: string }) => blobs.add(digest) });
        },
      },
      program: {
        pack: () => {
          runs += 1;
          const digest = sha256Digest(String(runs));
          return Promise.resolve({ digest, compressedBytes: 1, diffId: diffId() });
        },
      },
      content: { receive: (_like: unknown, write: (files: unknown) => unknown) => write({}) },
    };
    return { store: store as unknown as Store, runs: () => runs };
  }

  const pack = (store: Store) => {
    using hold = createHolds(() => undefined).open();
    return packTree(store, hold, directory, AbortSignal.timeout(10_000));
  };

  it("is done once", async () => {
    const { store, runs } = storeThatPacks(() => emptyArchive);
    assert.deepEqual(await pack(store), await pack(store));
    assert.equal(runs(), 1);
  });

  it("is not remembered with what a container has written meanwhile", async () => {
    const { store } = storeThatPacks(() => {
      writeFileSync(path.join(directory, "secret"), "of another");
      return sha256Digest("the secret");
    });
    const first = await pack(store);
    rmSync(path.join(directory, "secret"));
    assert.notDeepEqual(await pack(store), first);
  });
});
