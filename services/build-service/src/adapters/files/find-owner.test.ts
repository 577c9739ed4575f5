import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { findOwner } from "./find-owner.ts";

let root: string;
before(() => {
  root = mkdtempSync(path.join(tmpdir(), "gantry-owner-"));
  mkdirSync(path.join(root, "etc"));
  writeFileSync(path.join(root, "etc/passwd"), "bob:x:1000:50:bob:/:/bin/sh\n");
  writeFileSync(path.join(root, "etc/group"), "staff:x:60:\nbob:x:70:\n");
});
after(() => {
  rmSync(root, { recursive: true });
});

describe("an owner", () => {
  const known: readonly [string, number, number][] = [
    ["", 0, 0],
    ["bob:staff", 1000, 60],
    ["5", 5, 5],
    ["5:6", 5, 6],
    ["5:staff", 5, 60],
  ];
  for (const [text, uid, gid] of known) {
    it(`"${text}" is ${String(uid)}:${String(gid)} in a tree that has the names`, () => {
      for (const unknown of ["root", "refuse"] as const)
        assert.deepEqual(findOwner(root, text, unknown), { uid, gid });
    });
  }

  it("that a tree doesn't have is root to BuildKit, its group what the user brings", () => {
    assert.deepEqual(findOwner(root, "nobody", "root"), { uid: 0, gid: 0 });
    assert.deepEqual(findOwner(root, "bob:nobody", "root"), { uid: 1000, gid: 50 });
  });

  it("by name alone brings its own group to BuildKit, and that of its name to the classic builder", () => {
    assert.deepEqual(findOwner(root, "bob", "root"), { uid: 1000, gid: 50 });
    assert.deepEqual(findOwner(root, "bob", "refuse"), { uid: 1000, gid: 70 });
  });

  it("that a tree doesn't have is refused by the classic builder", () => {
    const refused = /can't find uid for user nobody: no such user: nobody$/;
    assert.throws(() => findOwner(root, "nobody", "refuse"), refused);
  });

  it("has no name but root where there is no tree", () => {
    const empty = path.join(root, "empty");
    for (const text of ["root", "0:root", "root:0"])
      assert.deepEqual(findOwner(empty, text, "no tree"), { uid: 0, gid: 0 });
    assert.deepEqual(findOwner(empty, ":3", "no tree"), { uid: 0, gid: 3 });
    for (const text of ["bob", "0:staff", "bob:0"])
      assert.throws(() => findOwner(empty, text, "no tree"), { message: "invalid user index: -1" });
  });
});
