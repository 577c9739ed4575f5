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

it("refuses what would leave the repository, or be an option of git", () => {
  for (const text of [
    "https://host/a.git#main:../etc",
    "https://host/a.git#main:a/../../b",
    "https://host/a.git?subdir=..",
    "https://host/a.git#--upload-pack=touch",
    "https://host/a.git#a..b",
    "ext::sh -c touch% /tmp/x",
    "file:///etc/.git",
    "git@-oProxyCommand=x:a",
  ]) {
    assert.throws(() => parseGitUrl(text), /invalid git|does not contain ref a\.\.b/, text);
  }
});
