import assert from "node:assert/strict";
import { constants } from "node:os";
import { describe, it } from "node:test";
import { toEngineError } from "@gantry/errors";
import { ArchiveError } from "../ports/archives.ts";
import { type ArchiveWork, archiveError } from "./archive-errors.ts";

const { ELOOP, ENOENT, ENOTDIR, EROFS } = constants.errno;

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
    assert.deepEqual(told({ errno: EROFS }), [
      "invalid_argument",
      "mounted volume is marked read-only",
    ]);
    assert.deepEqual(told({ step: "create", message: "cannot overwrite" }), [
      "invalid_argument",
      "cannot overwrite",
    ]);
  });
  it("name a user that the container does not know", () => {
    const message = "unable to find user bob: no matching entries in passwd file";
    assert.deepEqual(told({ step: "user", path: "bob", message }), [
      "invalid_argument",
      'failed to look up user "bob" in container: no matching entries in passwd file',
    ]);
  });
  it("of other kinds pass unchanged", () => {
    const error = new Error("something else");
    assert.equal(archiveError(error, "box", "/", "read"), error);
  });
});
