import assert from "node:assert/strict";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { openTempDir } from "@gantry/fs";
import type { TreeEntry } from "../session/entry.ts";
import type { EntryKind } from "../session/file-mode.ts";
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
