import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { loadKernel } from "@gantry/native";
import { copyFiles } from "./copy-files.ts";
import { changedMode } from "./file-mode.ts";

let folder: string;
let from: string;
let to: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "copy-files-"));
  from = path.join(folder, "from");
  to = path.join(folder, "to");
  mkdirSync(from);
  mkdirSync(to);
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const kernel = loadKernel();

function copy(
  source: string,
  destination: string,
  more: { chmod?: string; parents?: boolean; exclude?: string[]; link?: boolean } = {},
) {
  const { chmod, parents = false, exclude = [], link = false } = more;
  return copyFiles({ root: from, path: source, name: undefined }, to, destination, {
    ...{ owner, chmod, parents, exclude, link, kernel },
    signal: new AbortController().signal,
  });
}

describe("copying", () => {
  it("puts a file in a folder, or under a new name", async () => {
    writeFileSync(path.join(from, "a"), "text");
    await copy("a", "/folder/");
    await copy("a", "/deep/renamed");
    assert.equal(readFileSync(path.join(to, "folder/a"), "utf8"), "text");
    assert.equal(readFileSync(path.join(to, "deep/renamed"), "utf8"), "text");
  });
  it("makes the way to the destination as a number of chmod says, above it nothing, and 0755 without", async () => {
    const modeOf = (name: string): number => statSync(path.join(to, name)).mode & 0o7777;
    writeFileSync(path.join(from, "a"), "text");
    mkdirSync(path.join(to, "there"), { mode: 0o750 });
    for (const link of [false, true]) {
      const made = `there/made-${String(link)}`;
      await copy("a", `/${made}/deep/`, { chmod: "4711", link });
      assert.deepEqual(
        ["there", made, `${made}/deep`, `${made}/deep/a`].map(modeOf),
        [0o750, 0o711, 0o711, 0o4711],
      );
      await copy(".", `/${made}/folder`, { chmod: "777", link });
      assert.deepEqual([`${made}/folder`, `${made}/folder/a`].map(modeOf), [0o755, 0o777]);
      await copy("a", `/${made}/words/`, { chmod: "go=", link });
      assert.deepEqual([`${made}/words`, `${made}/words/a`].map(modeOf), [0o755, 0o600]);
    }
  });
  it("puts the content of a folder into the destination, beside what is there", async () => {
    mkdirSync(path.join(from, "tree/sub"), { recursive: true });
    writeFileSync(path.join(from, "tree/sub/new"), "new");
    mkdirSync(path.join(to, "there/sub"), { recursive: true });
    writeFileSync(path.join(to, "there/sub/old"), "old");
    await copy("tree", "/there");
    assert.deepEqual(readdirSync(path.join(to, "there/sub")), ["new", "old"]);
  });
  it("keeps links as links, and names of one file as names of one file", async () => {
    mkdirSync(path.join(from, "tree"));
    writeFileSync(path.join(from, "tree/a"), "text");
    linkSync(path.join(from, "tree/a"), path.join(from, "tree/b"));
    symlinkSync("a", path.join(from, "tree/c"));
    await copy("tree", "/tree");
    assert.equal(statSync(path.join(to, "tree/a")).ino, statSync(path.join(to, "tree/b")).ino);
    assert.equal(readFileSync(path.join(to, "tree/c"), "utf8"), "text");
  });
  it("takes times, permissions and attributes along, whatever a file's size", async () => {
    mkdirSync(path.join(from, "tree/sub"), { recursive: true });
    const sizes = [0, 1, 64 * 1024, 64 * 1024 + 1, 9 * 1024 * 1024];
    for (const size of sizes) {
      const name = path.join(from, "tree/sub", String(size));
      writeFileSync(name, Buffer.alloc(size, `${String(size)},`));
      chmodSync(name, 0o4751);
      utimesSync(name, 1_000_000_000, 1_600_000_000.25);
      kernel.setXattr(name, "user.of", Buffer.from(String(size)));
    }
    utimesSync(path.join(from, "tree/sub"), 5, 6);
    await copy("tree", "/tree");
    for (const size of sizes) {
      const name = path.join(to, "tree/sub", String(size));
      assert.ok(readFileSync(name).equals(Buffer.alloc(size, `${String(size)},`)), name);
      const { mode, mtimeMs } = statSync(name);
      assert.deepEqual([mode & 0o7777, mtimeMs], [0o4751, 1_600_000_000_250]);
      assert.equal(kernel.getXattr(name, "user.of")?.toString(), String(size));
    }
    assert.equal(statSync(path.join(to, "tree/sub")).mtimeMs, 6000);
  });
  it("copies many files, and of sources with files of one name the last", async () => {
    for (const folder of ["a", "b"]) mkdirSync(path.join(from, "in", folder), { recursive: true });
    for (const folder of ["a", "b"]) writeFileSync(path.join(from, "in", folder, "same"), folder);
    for (let file = 0; file < 1000; file++) {
      writeFileSync(path.join(from, "in/a", String(file)), String(file));
    }
    await copy("in/a", "/many/");
    assert.equal(readdirSync(path.join(to, "many")).length, 1001);
    assert.equal(readFileSync(path.join(to, "many/999"), "utf8"), "999");
    await copy("in/*/same", "/one/");
    assert.equal(readFileSync(path.join(to, "one/same"), "utf8"), "b");
  });
  it("ends with the system's error where a file can't be copied, and when it is cancelled", async () => {
    mkdirSync(path.join(from, "tree"));
    writeFileSync(path.join(from, "tree/a"), "text");
    const refusing = {
      ...kernel,
      copyFiles: (): Promise<void> => Promise.reject(new Error("no space left on device")),
    };
    const asked = { owner, chmod: undefined, parents: false, exclude: [], link: false };
    const source = { root: from, path: "tree", name: undefined };
    const { signal } = new AbortController();
    await assert.rejects(
      copyFiles(source, to, "/x", { ...asked, kernel: refusing, signal }),
      /no space left/,
    );
    await assert.rejects(
      copyFiles(source, to, "/y", { ...asked, kernel, signal: AbortSignal.abort() }),
      { name: "AbortError" },
    );
  });
  it("leaves out what is excluded, and keeps parents when asked", async () => {
    mkdirSync(path.join(from, "a/b"), { recursive: true });
    writeFileSync(path.join(from, "a/b/keep"), "x");
    writeFileSync(path.join(from, "a/b/drop.log"), "x");
    await copy("a", "/out", { exclude: ["**/*.log"] });
    assert.deepEqual(readdirSync(path.join(to, "out/b")), ["keep"]);
    await copy("a/./b/keep", "/pivot/", { parents: true });
    assert.ok(existsSync(path.join(to, "pivot/b/keep")));
  });
  it("refuses a source that is not there, but not a pattern without matches", async () => {
    await assert.rejects(copy("nope", "/"), /"\/nope": not found/);
    await copy("*.none", "/");
  });
});

describe("paths that lead out", () => {
  it("stay inside the source, by dots or by links", async () => {
    writeFileSync(path.join(folder, "outside"), "secret");
    symlinkSync("../outside", path.join(from, "up"));
    symlinkSync("/outside", path.join(from, "absolute"));
    await assert.rejects(copy("../outside", "/"), /not found/);
    await assert.rejects(copy("up", "/"), /not found/);
    await assert.rejects(copy("absolute", "/"), /not found/);
  });
  it("stay inside the destination, by dots or by links", async () => {
    writeFileSync(path.join(from, "a"), "text");
    symlinkSync(folder, path.join(to, "absolute"));
    symlinkSync("../..", path.join(to, "up"));
    await copy("a", "/absolute/x");
    await copy("a", "/up/y");
    await copy("a", "/../z");
    assert.deepEqual(readdirSync(folder).sort(), ["from", "to"]);
    assert.ok(existsSync(path.join(to, folder, "x")));
    assert.ok(existsSync(path.join(to, "y")) && existsSync(path.join(to, "z")));
  });
  it("are replaced, not followed, where a tree has a file and the destination a link", async () => {
    mkdirSync(path.join(from, "tree"));
    writeFileSync(path.join(from, "tree/passwd"), "evil");
    writeFileSync(path.join(folder, "passwd"), "good");
    symlinkSync(path.join(folder, "passwd"), path.join(to, "passwd"));
    await copy("tree", "/");
    assert.equal(readFileSync(path.join(folder, "passwd"), "utf8"), "good");
    assert.equal(readFileSync(path.join(to, "passwd"), "utf8"), "evil");
  });
});

it("changes modes in both notations", () => {
  assert.equal(changedMode(0o644, "0755", false), 0o755);
  assert.equal(changedMode(0o600, "u=rwX,go=rX", false), 0o644);
  assert.equal(changedMode(0o700, "u=rwX,go=rX", true), 0o755);
  assert.equal(changedMode(0o755, "go-w,o=", false), 0o750);
});
