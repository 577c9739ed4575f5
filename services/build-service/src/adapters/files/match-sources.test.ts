import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { matchSources } from "./match-sources.ts";

let root: string;
before(() => {
  root = mkdtempSync(path.join(tmpdir(), "gantry-sources-"));
  mkdirSync(path.join(root, "d/e/f"), { recursive: true });
  for (const file of ["a.txt", "d/c.txt", "d/e/x.go", "d/e/f/deep.md"])
    writeFileSync(path.join(root, file), file);
  symlinkSync("d", path.join(root, "dl"));
  symlinkSync("../a.txt", path.join(root, "d/up"));
  symlinkSync("nowhere", path.join(root, "broken"));
});
after(() => {
  rmSync(root, { recursive: true });
});

const namesOf = (source: string, parents = false): string[] =>
  matchSources(root, source, parents).map(({ name }) => name);

describe("a source that is a pattern", () => {
  const rows: readonly [string, string[]][] = [
    ["*.txt", ["a.txt"]],
    ["d/*", ["d/c.txt", "d/e", "d/up"]],
    ["d/**", ["d/c.txt", "d/e", "d/up"]],
    ["*/*/x.go", ["d/e/x.go"]],
    ["*/c.txt", ["d/c.txt"]],
    ["**/x.go", []],
    ["d/**/*.md", []],
    ["d*/c.txt", ["d/c.txt"]],
    ["dl/*.txt", ["dl/c.txt"]],
    ["brok*/*", []],
    ["[b-z].txt", []],
  ];
  for (const [source, names] of rows)
    it(`means what Go's Match says: ${source}`, () => {
      assert.deepEqual(namesOf(source), names);
    });

  it("is refused when a match leads nowhere", () => {
    assert.throws(() => namesOf("bro*"), /"\/broken": not found/);
  });

  it("is of any number of folders with --parents", () => {
    assert.deepEqual(namesOf("**/x.go", true), ["d/e/x.go"]);
    assert.deepEqual(namesOf("d/**/*.md", true), ["d/e/f/deep.md"]);
    assert.deepEqual(namesOf("bro*", true), ["broken"]);
  });
});
