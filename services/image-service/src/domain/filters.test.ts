import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { booleanFilter, globRegex, labelsMatch, referenceMatches, untilFilter } from "./filters.ts";
import { plainText } from "./foreign-text.ts";
import { timeNano } from "./image-view.ts";
import { tarEnd, tarHeader, tarPadding } from "./tar-header.ts";

describe("filters", () => {
  it("match names in every form that a person may write", () => {
    const name = "docker.io/library/busybox:1.36";
    for (const pattern of [
      "busybox",
      "busybox:1.36",
      "busy*",
      "busybox:1.*",
      "docker.io/library/busybox",
      "*box:?.[0-9]*",
    ]) {
      assert.ok(referenceMatches(name, [pattern]), pattern);
    }
    for (const pattern of ["box", "busybox:2", "*/busybox", "library/*x:9"]) {
      assert.ok(!referenceMatches(name, [pattern]), pattern);
    }
    for (const malformed of ["[a", "a\\", "[z-a]"]) assert.equal(globRegex(malformed), undefined);
  });

  it("want all labels, and none of the unwanted", () => {
    const labels = { a: "1", b: "" };
    const match = (wanted: string[], unwanted: string[] = []) =>
      labelsMatch(
        labels,
        new Map([
          ["label", wanted],
          ["label!", unwanted],
        ]),
      );
    assert.ok(match(["a", "a=1", "b="]));
    assert.ok(!match(["a=2"]) && !match(["c"]) && !match([], ["a"]) && match([], ["a=2"]));
  });

  it("take yes and no, and nothing else", () => {
    assert.equal(booleanFilter(new Map([["dangling", ["1"]]]), "dangling"), true);
    assert.equal(booleanFilter(new Map([["dangling", ["false"]]]), "dangling"), false);
    assert.equal(booleanFilter(new Map(), "dangling"), undefined);
    assert.throws(() => booleanFilter(new Map([["dangling", ["1", "0"]]]), "dangling"), {
      message: "invalid filter 'dangling=[1 0]'",
    });
  });
});

describe("times", () => {
  it("of an until filter: the earliest counts, and what is none is Docker's 500", () => {
    const now = 10_000_000_000_000n;
    assert.equal(untilFilter(new Map(), now), undefined);
    assert.equal(untilFilter(new Map([["until", ["1m", "1m30s"]]]), now), now - 90_000_000_000n);
    assert.throws(() => untilFilter(new Map([["until", ["soon"]]]), now), {
      kind: "internal",
      message: 'failed to parse value as time or duration: "soon"',
    });
  });

  it("of configs keep nanoseconds, and Go's zero time is none", () => {
    assert.equal(timeNano("1970-01-01T00:00:01.5Z"), 1_500_000_000n);
    assert.equal(timeNano("1970-01-01T01:00:00.000000007+01:00"), 7n);
    assert.equal(timeNano("0001-01-01T00:00:00Z"), 0n);
    assert.equal(timeNano("yesterday"), 0n);
    assert.equal(timeNano(undefined), 0n);
  });
});

describe("texts of registries", () => {
  it("lose control characters, overrides and excess", () => {
    assert.equal(plainText("\u001b[31mred\r\nline\u202e"), "[31mred line");
    assert.ok(plainText("x".repeat(5000)).length < 1100);
  });
});

describe("archives", () => {
  it("have headers whose checksum is right, and PAX sizes beyond eight gigabytes", () => {
    const header = tarHeader({ name: "blobs/x", sizeBytes: 5 });
    assert.equal(header.length, 512);
    const stored = Number.parseInt(header.toString("latin1", 148, 154), 8);
    const sum = [...header].reduce(
      (total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte),
      0,
    );
    assert.equal(stored, sum);
    const large = tarHeader({ name: "large", sizeBytes: 9_000_000_000 });
    assert.match(large.toString("latin1"), /19 size=9000000000\n/);
    assert.deepEqual(
      [tarPadding(0), tarPadding(512), tarPadding(1)].map(({ length }) => length),
      [0, 0, 511],
    );
    assert.equal(tarEnd().length, 1024);
  });
});
