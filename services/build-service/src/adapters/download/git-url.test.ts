import assert from "node:assert/strict";
import { it } from "node:test";
import { parseGitUrl } from "./git-url.ts";

it("reads repository, reference and folder", () => {
  assert.deepEqual(parseGitUrl("https://host/a.git#v1:sub/dir"), {
    remote: "https://host/a.git",
    ref: "v1",
    folder: "sub/dir",
  });
  assert.deepEqual(parseGitUrl("https://host/a.git?branch=main&subdir=x"), {
    remote: "https://host/a.git",
    ref: "main",
    folder: "x",
  });
});

it("cleans a folder whose root is the repository, so that none leads out of it", () => {
  for (const [folder, clean] of [
    ["../etc", "etc"],
    ["a/../../b/", "b"],
    ["a/./../c//d", "c/d"],
    ["..", ""],
    ["/../..", ""],
  ] as const) {
    assert.equal(parseGitUrl(`https://host/a.git#main:${folder}`).folder, clean);
    assert.equal(parseGitUrl(`https://host/a.git?subdir=${folder}`).folder, clean);
  }
});

it("refuses what is no reference, or would be an option of git", () => {
  for (const text of [
    "https://host/a.git#--upload-pack=touch",
    "https://host/a.git#a..b",
    "ext::sh -c touch% /tmp/x",
    "file:///etc/.git",
    "git@-oProxyCommand=x:a",
  ]) {
    assert.throws(() => parseGitUrl(text), /invalid git|does not contain ref a\.\.b/, text);
  }
});
