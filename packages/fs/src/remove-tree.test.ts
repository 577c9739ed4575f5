import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { removeTree } from "./remove-tree.ts";
import { openTempDir } from "./temp-dir.ts";

async function newFolder(t: TestContext): Promise<string> {
  const folder = await openTempDir("gantry-remove-");
  t.after(() => folder.close());
  return folder.path;
}

describe("the removal of a tree", () => {
  it("takes all that is in it, in folders of any size and depth", async (t) => {
    const tree = path.join(await newFolder(t), "tree");
    const deep = path.join(tree, "d/".repeat(300));
    mkdirSync(deep, { recursive: true });
    for (let index = 0; index < 1000; index++) writeFileSync(path.join(deep, `f${index}`), "");
    mkdirSync(path.join(tree, "empty"));
    await removeTree(tree);
    assert.equal(existsSync(tree), false);
  });

  it("leaves alone what links lead to", async (t) => {
    const folder = await newFolder(t);
    const outside = path.join(folder, "outside");
    mkdirSync(outside);
    writeFileSync(path.join(outside, "kept"), "yes");
    const tree = path.join(folder, "tree");
    mkdirSync(tree);
    symlinkSync(outside, path.join(tree, "link"));
    symlinkSync(outside, path.join(folder, "top"));
    await removeTree(tree);
    await removeTree(path.join(folder, "top"));
    assert.equal(existsSync(tree), false);
    assert.equal(readFileSync(path.join(outside, "kept"), "utf8"), "yes");
  });

  it("takes a file, and is content with nothing", async (t) => {
    const file = path.join(await newFolder(t), "file");
    writeFileSync(file, "");
    await removeTree(file);
    await removeTree(file);
    assert.equal(existsSync(file), false);
  });
});
