import assert from "node:assert/strict";
import { mkdirSync, renameSync } from "node:fs";
import { describe, it } from "node:test";
import * as errors from "./index.ts";
import {
  conflict,
  EngineError,
  errnoKind,
  grpcCode,
  hasErrno,
  httpStatus,
  isErrorKind,
  kindNames,
  kindOfGrpcCode,
  notFound,
  resolveKind,
  toEngineError,
} from "./index.ts";

describe("the kinds table", () => {
  it("has a factory for every kind", () => {
    const camel = (kind: string): string =>
      kind.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    for (const kind of kindNames()) assert.ok(camel(kind) in errors, `no factory for ${kind}`);
  });

  it("maps every kind to a gRPC code and an HTTP error status", () => {
    for (const kind of kindNames()) {
      assert.ok(grpcCode(kind) >= 1 && grpcCode(kind) <= 16);
      assert.ok(httpStatus(kind) >= 300);
    }
  });

  it("reads a bare code back as its kind, but for not_modified, which needs the detail", () => {
    for (const kind of kindNames()) {
      const expected = kind === "not_modified" ? "conflict" : kind;
      assert.equal(kindOfGrpcCode(grpcCode(kind)), expected);
    }
  });

  it("treats unknown codes and words as foreign", () => {
    assert.equal(kindOfGrpcCode(2), "internal");
    assert.equal(isErrorKind("toString"), false);
  });
});

describe("resolveKind", () => {
  it("lets the outermost kind win", () => {
    const inner = notFound("image", "x");
    assert.equal(resolveKind(conflict("busy", { cause: inner })), "conflict");
  });

  it("finds a kind under foreign errors", () => {
    assert.equal(resolveKind(new Error("x", { cause: notFound("image", "x") })), "not_found");
  });

  it("knows aborts and time-outs, and calls an untranslated errno internal", () => {
    assert.equal(resolveKind(AbortSignal.abort().reason), "canceled");
    assert.equal(resolveKind(new DOMException("", "TimeoutError")), "deadline_exceeded");
    assert.equal(resolveKind(Object.assign(new Error("x"), { code: "ENOENT" })), "internal");
    assert.equal(errnoKind("ENOENT"), "not_found");
    assert.equal(resolveKind("text"), "internal");
  });

  it("ends on a cycle of causes", () => {
    const error = new Error("loop");
    error.cause = error;
    assert.equal(resolveKind(error), "internal");
  });
});

describe("toEngineError", () => {
  it("returns an EngineError as it is", () => {
    const error = conflict("busy");
    assert.equal(toEngineError(error), error);
  });

  it("keeps message, kind and details of a wrapped one", () => {
    const error = toEngineError(new Error("outer", { cause: notFound("container", "c1") }));
    assert.equal(error.kind, "not_found");
    assert.equal(error.message, "outer");
    assert.equal(error.details.resourceId, "c1");
  });

  it("says of a system call what was refused, as Go does", () => {
    const refused = (act: () => void): string => {
      try {
        act();
      } catch (error) {
        return toEngineError(error).message;
      }
      return assert.fail("nothing was refused");
    };
    assert.equal(
      refused(() => mkdirSync("/proc/x/y")),
      "mkdir /proc/x/y: no such file or directory",
    );
    assert.equal(
      refused(() => renameSync("/proc/version", "/tmp/x")),
      "rename /proc/version /tmp/x: invalid cross-device link",
    );
    assert.equal(
      refused(() => mkdirSync("/proc")),
      "mkdir /proc: file exists",
    );
    const facts = { code: "EROFS", errno: 30, syscall: "openat2", path: "/x" };
    const addons = Object.assign(new Error("EROFS: openat2 /x: Read-only file system"), facts);
    assert.equal(toEngineError(addons).message, "openat2 /x: read-only file system");
    const spawned = Object.assign(new Error("spawn x ENOENT"), { ...facts, code: "ENOENT" });
    assert.equal(toEngineError(spawned).message, "spawn x ENOENT");
  });

  it("accepts values that are no errors", () => {
    assert.equal(toEngineError(42).message, "42");
    assert.ok(toEngineError(undefined) instanceof EngineError);
  });
});

describe("notFound", () => {
  it("speaks Docker's words", () => {
    assert.equal(notFound("container", "x").message, "No such container: x");
    assert.equal(notFound("exec", "x").message, "No such exec instance: x");
    assert.equal(notFound("network", "x").message, "network x not found");
  });
});

it("hasErrno tells one system error from another", () => {
  assert.ok(hasErrno(Object.assign(new Error("x"), { code: "EEXIST" }), "EEXIST"));
  assert.equal(hasErrno(new Error("x"), "EEXIST"), false);
});

describe("an error that clean-up suppressed", () => {
  it("is the one that is told", () => {
    const first = notFound("container", "x");
    const told = toEngineError(new SuppressedError(new Error("clean-up failed, too"), first));
    assert.equal(told, first);
    assert.equal(resolveKind(new SuppressedError(new Error("later"), first)), "not_found");
  });
});
