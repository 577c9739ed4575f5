import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { openTempDir } from "@gantry/fs";
import { loadKernel, removeTree } from "../lib/index.ts";

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

  it("takes folders deeper than a path can say, some of them with the names that it uses itself", async (t) => {
    const tree = path.join(await newFolder(t), "tree");
    mkdirSync(path.join(tree, ".lifted-0/kept"), { recursive: true });
    const part = "d/".repeat(1500);
    const script =
      'cd "$1" && for _ in 1 2 3; do mkdir -p "$2" && cd -P "$2" || exit 1; done; echo x > file';
    const made = spawnSync("sh", ["-c", script, "sh", tree, part]);
    assert.equal(made.status, 0, String(made.stderr));
    await removeTree(tree);
    assert.equal(existsSync(tree), false);
  });

  it("goes no further than it is told, and on from there", async (t) => {
    const tree = path.join(await newFolder(t), "tree");
    mkdirSync(tree);
    for (let index = 0; index < 30; index++) writeFileSync(path.join(tree, `f${index}`), "");
    const kernel = loadKernel();
    assert.equal(await kernel.removeTreePart(tree, 20), false);
    assert.equal(readdirSync(tree).length, 10);
    assert.equal(await kernel.removeTreePart(tree, 20), true);
    assert.equal(existsSync(tree), false);
  });

  it("does not enter what is mounted inside", async (t) => {
    const tree = path.join(await newFolder(t), "tree");
    const inside = path.join(tree, "mounted");
    mkdirSync(inside, { recursive: true });
    const kernel = loadKernel();
    await kernel.mount({ source: "tmpfs", target: inside, type: "tmpfs", flags: 0n, data: "" });
    try {
      writeFileSync(path.join(inside, "kept"), "yes");
      await assert.rejects(removeTree(tree), { code: /^(EXDEV|EBUSY)$/ });
      assert.equal(readFileSync(path.join(inside, "kept"), "utf8"), "yes");
    } finally {
      await kernel.unmount(inside, 2);
    }
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
