import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheRecord } from "../ports/build.ts";
import { gcPolicy } from "./gc-policy.ts";

const none = { reservedBytes: 0, maxUsedBytes: 0, minFreeBytes: 0 };
const record = (type: string): CacheRecord => ({
  ...{ id: "a", parents: [], type, description: "", inUse: false, shared: false, mutable: false },
  ...{ sizeBytes: 1, createdNano: 0n, lastUsedNano: 0n, usageCount: 0 },
});

describe("gcPolicy", () => {
  it("is dockerd's when nothing is configured", () => {
    const rules = gcPolicy({ enabled: true, bounds: none, rules: undefined }, 1000);
    assert.deepEqual(
      rules.map(({ all, keepDurationMs, reservedBytes, maxUsedBytes, minFreeBytes }) => [
        ...[all, keepDurationMs / 3600_000, reservedBytes, maxUsedBytes, minFreeBytes],
      ]),
      [
        [false, 48, 0, 512 * 1024 * 1024, 0],
        [false, 1440, 100, 0, 0],
        [false, 0, 100, 800, 200],
        [true, 0, 100, 800, 200],
      ],
    );
    assert.ok(rules[0]?.matches(record("exec.cachemount")));
    assert.ok(!rules[0]?.matches(record("regular")));
    assert.ok(rules[1]?.matches(record("regular")));
  });

  it("has the bounds that are given in place of dockerd's", () => {
    const bounds = { ...none, maxUsedBytes: 7 };
    const rules = gcPolicy({ enabled: true, bounds, rules: undefined }, 1000);
    assert.deepEqual(
      rules.slice(1).map(({ maxUsedBytes, reservedBytes }) => [maxUsedBytes, reservedBytes]),
      [
        [0, 0],
        [7, 0],
        [7, 0],
      ],
    );
  });

  it("is the configured list, or empty when it is off", () => {
    const rules = [{ ...none, all: true, filters: ["type=regular", "unused-for=2h"] }];
    const [rule, ...others] = gcPolicy({ enabled: true, bounds: none, rules }, 1000);
    assert.equal(others.length, 0);
    assert.equal(rule?.keepDurationMs, 7200_000);
    assert.deepEqual(rule.filters, ["type==regular"]);
    assert.ok(rule.matches(record("regular")));
    assert.ok(!rule.matches(record("exec.cachemount")));
    assert.deepEqual(gcPolicy({ enabled: false, bounds: none, rules }, 1000), []);
    const bad = [{ ...none, all: true, filters: ["colour=red"] }];
    assert.throws(() => gcPolicy({ enabled: true, bounds: none, rules: bad }, 1), /invalid filter/);
  });
});
