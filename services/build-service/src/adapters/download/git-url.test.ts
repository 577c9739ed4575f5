import assert from "node:assert/strict";
import { it } from "node:test";
import { parseGitUrl } from "./git-url.ts";

it("reads repository, reference and folder", () => {
  const none = { checksum: "", keepGitDir: undefined, submodules: true };
  const remote = "https://host/a.git";
  assert.deepEqual(parseGitUrl(`${remote}#v1:sub/dir`), {
    ...{ remote, ref: "v1", folder: "sub/dir" },
    ...none,
  });
  assert.deepEqual(parseGitUrl(`${remote}?branch=main&subdir=x`), {
    ...{ remote, ref: "refs/heads/main", folder: "x" },
    ...none,
  });
  assert.deepEqual(parseGitUrl(`${remote}?tag=v1&commit=ab12&keep-git-dir&submodules=0`), {
    ...{ remote, ref: "refs/tags/v1", folder: "" },
    ...{ checksum: "ab12", keepGitDir: true, submodules: false },
  });
});

it("refuses what it does not know, and what contradicts itself", () => {
  for (const [rest, message] of [
    ["?foo=1", 'unexpected query "foo"'],
    ["?ref=", 'query "ref" has no value'],
    ["?ref=a&ref=a", 'query "ref" has multiple values'],
    ["?branch=a&tag=b", "branch conflicts with tag"],
    ["?ref=a#b", 'ref conflicts: "b" vs "a"'],
    ["?branch=a&ref=a", 'ref conflicts: "a" vs "refs/heads/a"'],
    ["?subdir=a#:b", 'subdir conflicts: "b" vs "a"'],
    ["?submodules=maybe", 'invalid submodules value: "maybe"'],
  ] as const)
    assert.throws(() => parseGitUrl(`https://host/a.git${rest}`), { message });
  assert.equal(parseGitUrl("https://host/a.git?ref=a#a").ref, "a");
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
