import assert from "node:assert/strict";
import { constants } from "node:os";
import { describe, it } from "node:test";
import { toEngineError } from "@gantry/errors";
import { ArchiveError } from "../ports/archives.ts";
import { type ArchiveWork, archiveError } from "./archive-errors.ts";

const { EBUSY, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EROFS } = constants.errno;

function told(
  failure: Partial<ArchiveError["failure"]>,
  work: ArchiveWork = "read",
): [string, string] {
  const error = new ArchiveError({ step: "path", errno: 0, path: "", message: "", ...failure });
  const { kind, message } = toEngineError(archiveError(error, "box", "/a/b", work));
  return [kind, message];
}

describe("failures of the unpack program", () => {
  it("are told in Docker's words", () => {
    assert.deepEqual(told({ errno: ENOENT }), [
      "not_found",
      "Could not find the file /a/b in container box",
    ]);
    assert.deepEqual(told({ errno: ENOTDIR }), ["internal", "lstat /a/b: not a directory"]);
    assert.deepEqual(told({ errno: ENOTDIR }, "write"), ["internal", "not a directory"]);
    assert.deepEqual(told({ errno: ELOOP }), [
      "internal",
      "lstat /a/b: too many levels of symbolic links",
    ]);
    assert.deepEqual(told({ errno: ELOOP, step: "link target" }), [
      "internal",
      "evalSymlinksInScope: too many links in /a/b",
    ]);
    assert.deepEqual(told({ errno: EROFS }), [
      "invalid_argument",
      "mounted volume is marked read-only",
    ]);
    assert.deepEqual(told({ errno: ENAMETOOLONG }), ["internal", "lstat /a/b: file name too long"]);
    const message = "remove etc/hosts: Device or resource busy";
    assert.deepEqual(told({ step: "remove", errno: EBUSY, path: "etc/hosts", message }, "write"), [
      "internal",
      "RemoveAll etc/hosts: device or resource busy",
    ]);
  });
  it("say step and path once", () => {
    const failure = {
      step: "write",
      errno: EIO,
      path: "f",
      message: "write f: Input/output error",
    };
    assert.deepEqual(told(failure), ["internal", "write f: Input/output error"]);
  });
  for (const [path, message, text] of [
    ["../x", '"../x" is outside of "/w"', 'invalid entry name "../x"'],
    ["h", 'invalid hardlink "h" -> "../p"', 'invalid hardlink target "../p"'],
    [
      "f/",
      'cannot overwrite non-directory "/w/f" with directory "/w"',
      'cannot overwrite non-directory "f" with directory "/w"',
    ],
    [
      "./d/e",
      'cannot overwrite directory "/w/d/e" with non-directory "/w"',
      'cannot overwrite directory "d/e" with non-directory "/w"',
    ],
    ["", "read tar: unexpected end of archive", "unexpected EOF"],
    ["", "decompress gzip: unexpected end", "unexpected EOF"],
    ["", "read tar: invalid header checksum", "archive/tar: invalid tar header"],
  ] as const) {
    it(`tell of an archive: ${text}`, () => {
      assert.deepEqual(told({ step: "create", path, message }, "write"), ["internal", text]);
    });
  }
  it("tell of a path that is to be a directory by its end", () => {
    const error = new ArchiveError({ step: "path", errno: ENOTDIR, path: "", message: "" });
    const { message } = toEngineError(archiveError(error, "box", "/f/", "write"));
    assert.equal(message, "lstat /f/: not a directory");
  });
  it("name a user that the container does not know", () => {
    const message = "unable to find user bob: no matching entries in passwd file";
    assert.deepEqual(told({ step: "user", path: "bob", message }), [
      "invalid_argument",
      'failed to look up user "bob" in container: no matching entries in passwd file',
    ]);
  });
  it("name a group that it does not know, and numbers that can be no IDs", () => {
    for (const [path, message, text] of [
      [
        "0:staff",
        "unable to find group staff: no matching entries in group file",
        'failed to look up group "staff" in container: no matching entries in group file',
      ],
      [
        "4294967296",
        "unable to find user 4294967296: uids and gids must be in range 0-2147483647",
        'failed to look up user "4294967296" in container: no matching entries in passwd file',
      ],
    ] as const) {
      assert.deepEqual(told({ step: "user", path, message }), ["invalid_argument", text]);
    }
  });
  it("of other kinds pass unchanged", () => {
    const error = new Error("something else");
    assert.equal(archiveError(error, "box", "/", "read"), error);
  });
});
