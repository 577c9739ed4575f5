import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { isInside, openTempDir, overwriteFile, writeFileAtomic } from "./index.ts";

describe("writeFileAtomic", () => {
  it("replaces a file and leaves nothing beside it", async () => {
    await using dir = await openTempDir("gantry-fs-");
    const file = path.join(dir.path, "state.json");
    writeFileSync(file, "old");
    await writeFileAtomic(file, "new", { mode: 0o640 });
    assert.equal(readFileSync(file, "utf8"), "new");
    assert.equal(statSync(file).mode & 0o777, 0o640);
    assert.deepEqual(readdirSync(dir.path), ["state.json"]);
  });

  it("keeps the old file when the new one cannot take its place", async () => {
    await using dir = await openTempDir("gantry-fs-");
    // A folder cannot be replaced by a file: the rename fails after the write.
    await assert.rejects(writeFileAtomic(path.dirname(path.join(dir.path, "x")), "new"));
    assert.ok(existsSync(dir.path));
    await assert.rejects(writeFileAtomic(path.join(dir.path, "missing", "x"), "new"), {
      code: "ENOENT",
    });
    assert.deepEqual(readdirSync(dir.path), []);
  });
});

describe("overwriteFile", () => {
  it("makes a file, and writes over the same one, shorter and longer", async () => {
    await using dir = await openTempDir("gantry-fs-");
    const file = path.join(dir.path, "config.json");
    await overwriteFile(file, "long enough", 0o640);
    const { ino, mode } = statSync(file);
    assert.equal(mode & 0o777, 0o640);
    for (const text of ["short", "", "longer than before: ü"]) {
      await overwriteFile(file, text, 0o600);
      assert.equal(readFileSync(file, "utf8"), text);
    }
    assert.equal(statSync(file).ino, ino);
  });
});

describe("isInside", () => {
  it("takes the root and what lies under it, also by detours", () => {
    for (const inside of ["/root/dir", "/root/dir/a/../b", "/root/dir/..a"]) {
      assert.equal(isInside("/root/dir", inside), true);
    }
    for (const outside of ["/root", "/root/dir/a/../..", "/etc"]) {
      assert.equal(isInside("/root/dir", outside), false);
    }
  });

  it("does not take a sibling with the same beginning for inside", () => {
    assert.equal(isInside("/root/dir", "/root/dirx"), false);
  });
});

it("openTempDir removes its folder at the end of the scope", async () => {
  let folder: string;
  {
    await using dir = await openTempDir("gantry-fs-");
    folder = dir.path;
    writeFileSync(path.join(folder, "x"), "");
  }
  assert.equal(existsSync(folder), false);
});
