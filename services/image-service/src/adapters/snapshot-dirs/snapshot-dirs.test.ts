import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, it } from "node:test";
import { createLogger } from "@gantry/logging";
import { openSnapshotDirs } from "./snapshot-dirs.ts";

describe("folders of snapshots", () => {
  it("are not left half made when one of them is refused", () => {
    const dataDir = mkdtempSync(path.join(os.tmpdir(), "gantry-snapshot-dirs-"));
    try {
      const dirs = openSnapshotDirs({
        ...{ dataDir, owned: new Set(), syncFileSystem: () => Promise.resolve() },
        logger: createLogger({ service: "test", level: "fatal" }),
      });
      const gone = path.join(dataDir, "no-such-tree");
      assert.throws(() => dirs.create("active", gone), { code: "ENOENT" });
      assert.deepEqual(readdirSync(path.join(dataDir, "snapshots")).sort(), [
        ".trash",
        "base",
        "empty",
      ]);
      assert.deepEqual(readdirSync(path.join(dataDir, "snapshots/.trash")), []);
    } finally {
      rmSync(dataDir, { recursive: true, force: true });
    }
  });
});
