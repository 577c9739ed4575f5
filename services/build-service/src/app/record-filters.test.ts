import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheRecord } from "../ports/build.ts";
import { compilePruneFilters } from "./record-filters.ts";

const nowMs = Date.UTC(2026, 10, 30);
const compile = (filters: Record<string, readonly string[]>) =>
  compilePruneFilters(new Map(Object.entries(filters)), nowMs);
const record: CacheRecord = {
  ...{ id: "abc", parents: [], type: "regular", description: "", inUse: false, shared: false },
  ...{ mutable: false, sizeBytes: 1, createdNano: 0n, lastUsedNano: 0n, usageCount: 0 },
};

describe("the filters of a prune of the cache", () => {
  it("take until as how long ago, or as a time", () => {
    const day = 24 * 3600 * 1000;
    assert.equal(compile({}).keepDurationMs, 0);
    assert.equal(compile({ until: ["24h"] }).keepDurationMs, day);
    assert.equal(compile({ until: ["2026-11-29T00:00:00Z"] }).keepDurationMs, day);
    assert.equal(compile({ until: [String((nowMs - day) / 1000)] }).keepDurationMs, day);
    assert.equal(compile({ "unused-for": ["24h"] }).keepDurationMs, day);
  });

  it("pass labels over, which docker system prune sends to everything", () => {
    const { matches } = compile({ label: ["a=b", "c"], "label!": ["d"] });
    assert.ok(matches(record));
    assert.ok(!compile({ label: ["a=b"], type: ["source.local"] }).matches(record));
  });

  it("are refused in dockerd's words", () => {
    const refusals: readonly [Record<string, readonly string[]>, string][] = [
      [{ bogus: ["x"] }, "invalid filter 'bogus'"],
      [{ until: ["1h", "2h"] }, "filters expect only one value"],
      [{ id: ["x", "y"] }, "filters expect only one value"],
      [
        { until: ["zzz"] },
        `"until" filter expects a duration (e.g., '24h') or a timestamp: failed to parse value as time or duration: "zzz"`,
      ],
    ];
    for (const [filters, message] of refusals)
      assert.throws(() => compile(filters), {
        kind: "invalid_argument",
        message: `failed to prune build cache: ${message}`,
      });
  });
});
