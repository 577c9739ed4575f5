import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { openTempDir } from "@gantry/fs";
import { sumOfSource } from "../../adapters/files/content-sum.ts";
import type { KnownFiles } from "../../ports/build-inputs.ts";
import type { TreeEntry } from "../session/entry.ts";
import type { EntryKind } from "../session/file-mode.ts";
import { knownFiles, readIndex, writeIndex } from "./tree-index.ts";
import { type TreeIndex, TreeWriter } from "./tree-writer.ts";

const entry = (name: string, kind: EntryKind, more: Partial<TreeEntry> = {}): TreeEntry => ({
  path: name,
  kind,
  permissions: kind === "directory" ? 0o755 : 0o644,
  uid: 0,
  gid: 0,
  sizeBytes: 0,
  modifiedNano: 1_600_000_000_123_456_789n,
  linkName: "",
  deviceMajor: 0,
  deviceMinor: 0,
  xattrs: {},
  ...more,
});

/** Writes entries over an older tree; files get their path as content. */
async function write(
  root: string,
  old: TreeIndex,
  entries: readonly TreeEntry[],
): Promise<TreeIndex> {
  const writer = new TreeWriter(root, old);
  for (const each of entries) {
    if (!writer.entry(each)) continue;
    writer.content(each, Buffer.from(each.path));
    writer.contentEnd(each);
  }
  await writer.complete();
  writer.close();
  return writer.index;
}

const file = (name: string, more: Partial<TreeEntry> = {}): TreeEntry =>
  entry(name, "file", { sizeBytes: name.length, ...more });

test("a folder that becomes a link takes nothing with it at the link's target", async () => {
  await using temp = await openTempDir("tree-writer-");
  const outside = path.join(temp.path, "outside");
  const root = path.join(temp.path, "tree");
  mkdirSync(outside);
  mkdirSync(root);
  writeFileSync(path.join(outside, "b"), "not ours");
  const old = await write(root, new Map(), [entry("a", "directory"), file("a/b")]);
  await write(root, old, [entry("a", "symlink", { linkName: outside })]);
  assert.equal(readFileSync(path.join(outside, "b"), "utf8"), "not ours");
});

test("hard links follow a file that is written anew, and end with it", async () => {
  await using temp = await openTempDir("tree-writer-");
  const link = entry("b", "file", { linkName: "a" });
  const inode = (name: string): number => statSync(path.join(temp.path, name)).ino;
  const first = await write(temp.path, new Map(), [file("a"), link]);
  assert.equal(inode("a"), inode("b"));
  const second = await write(temp.path, first, [file("a", { modifiedNano: 5n }), link]);
  assert.equal(inode("a"), inode("b"));
  await write(temp.path, second, [file("a", { modifiedNano: 5n }), file("b")]);
  assert.notEqual(inode("a"), inode("b"));
  assert.equal(readFileSync(path.join(temp.path, "a"), "utf8"), "a");
});

test("refuses a hard link to what is not there", async () => {
  await using temp = await openTempDir("tree-writer-");
  const link = entry("b", "file", { linkName: "etc/passwd" });
  await assert.rejects(write(temp.path, new Map(), [link]), /no file etc\/passwd to link to/);
});

test("what is known of a tree's content is what looking at it says, between builds, too", async () => {
  await using temp = await openTempDir("tree-writer-");
  const signal = new AbortController().signal;
  const sums = { get: () => undefined, set: () => undefined };
  const tree = path.join(temp.path, "tree");
  mkdirSync(tree);
  const entries = [
    entry("a", "directory", { permissions: 0o700 }),
    file("a/b", { permissions: 0o4755 }),
    entry("a/empty", "file"),
    entry("a/hard", "file", { linkName: "a/b" }),
    entry("a/link", "symlink", { linkName: "b" }),
    file("a.b"),
    file("é"),
  ];
  const first = await write(tree, new Map(), entries);
  const indexFile = path.join(temp.path, "index");
  writeFileSync(indexFile, writeIndex("key", first));
  const second = await write(tree, (await readIndex(indexFile)) ?? new Map(), entries);
  // Nothing was fetched anew, so what is known is known from the first time.
  assert.equal(second.get("a/b")?.sum, createHash("sha256").update("a/b").digest("hex"));
  const sum = (source: string, exclude: string[], known: KnownFiles | undefined) =>
    sumOfSource(tree, source, { exclude, parents: false, owners: false, sums, known, signal });
  for (const index of [first, second]) {
    for (const source of ["/", "a", "a/b", "a/link", "*", "a.?"]) {
      for (const exclude of [[], ["a/b"], ["*", "!a/empty"]]) {
        const looked = await sum(source, exclude, undefined);
        assert.equal(await sum(source, exclude, knownFiles(index)), looked, source);
      }
    }
  }
  writeFileSync(path.join(tree, "a.b"), "other");
  assert.notEqual(await sum("/", [], undefined), await sum("/", [], knownFiles(second)));
});
