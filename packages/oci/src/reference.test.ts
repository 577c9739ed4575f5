import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  canonicalName,
  familiarName,
  isTag,
  parseReference,
  repositoryOf,
  withDefaultTag,
} from "./reference.ts";

const hex = "a".repeat(64);

describe("parseReference", () => {
  const good: readonly [string, string, string][] = [
    ["busybox", "docker.io/library/busybox", "busybox"],
    ["busybox:1.2", "docker.io/library/busybox:1.2", "busybox:1.2"],
    ["a/b", "docker.io/a/b", "a/b"],
    ["docker.io/busybox", "docker.io/library/busybox", "busybox"],
    ["index.docker.io/a/b:x", "docker.io/a/b:x", "a/b:x"],
    ["localhost/x", "localhost/x", "localhost/x"],
    ["localhost:5000/a/b:tag", "localhost:5000/a/b:tag", "localhost:5000/a/b:tag"],
    ["Host.example/x", "Host.example/x", "Host.example/x"],
    ["[::1]:5000/x", "[::1]:5000/x", "[::1]:5000/x"],
    ["a__b/c--d.e", "docker.io/a__b/c--d.e", "a__b/c--d.e"],
    [`x:1@sha256:${hex}`, `docker.io/library/x:1@sha256:${hex}`, `x:1@sha256:${hex}`],
    ["library/a/b", "docker.io/library/a/b", "library/a/b"],
  ];
  for (const [text, canonical, familiar] of good) {
    it(`reads ${text}`, () => {
      const reference = parseReference(text);
      assert.equal(canonicalName(reference), canonical);
      assert.equal(familiarName(reference), familiar);
    });
  }

  const bad = [
    "",
    ":x",
    "a:",
    "a::b",
    "/a",
    "a/",
    "a//b",
    "a@sha256:12",
    "a@b",
    "a b",
    "a___b",
    "a..b",
    "-a",
    "a:b:c",
    "ho_st.x/a",
    "a\n",
    "../a",
    "host:port/a",
    "é",
  ];
  for (const text of bad) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseReference(text), {
        kind: "invalid_argument",
        message: "invalid reference format",
      });
    });
  }

  it("refuses capitals, IDs and long names with Docker's words", () => {
    assert.throws(() => parseReference("Busybox"), {
      message: "invalid reference format: repository name (library/Busybox) must be lowercase",
    });
    assert.throws(() => parseReference(hex), {
      message: `invalid repository name (${hex}), cannot specify 64-byte hexadecimal strings`,
    });
    assert.throws(() => parseReference("a/".repeat(130) + "b"), {
      message: "repository name must not be more than 255 characters",
    });
  });

  it("throws nothing but invalid_argument, and reads back what it wrote", () => {
    const piece = fc.constantFrom(
      "a",
      "B",
      "0",
      ".",
      "_",
      "-",
      ":",
      "/",
      "@",
      "sha256:",
      hex,
      "[",
      "]",
      "\u0000",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece).map((each) => each.join("")),
        ),
        (text) => {
          let reference: ReturnType<typeof parseReference>;
          try {
            reference = parseReference(text);
          } catch (error) {
            assert.equal((error as { kind?: string }).kind, "invalid_argument");
            return;
          }
          assert.deepEqual(parseReference(canonicalName(reference)), reference);
          assert.deepEqual(parseReference(familiarName(reference)), reference);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("fills in the default tag only where nothing else says what is meant", () => {
    assert.equal(canonicalName(withDefaultTag(parseReference("x"))), "docker.io/library/x:latest");
    const digested = parseReference(`x@sha256:${hex}`);
    assert.equal(withDefaultTag(digested), digested);
    assert.deepEqual(repositoryOf(digested), { domain: "docker.io", path: "library/x" });
    assert.ok(isTag("1.2-x_Y") && !isTag("") && !isTag("-x") && !isTag("a".repeat(129)));
  });
});
