import assert from "node:assert/strict";
import { test } from "node:test";
import type { CacheRecord } from "../../ports/build.ts";
import { recordFilter } from "./record-filter.ts";

const record: CacheRecord = {
  id: "abc",
  parents: ["p1", "p2"],
  type: "regular",
  description: "a step",
  inUse: true,
  shared: false,
  mutable: false,
  sizeBytes: 1,
  createdNano: 1n,
  lastUsedNano: 0n,
  usageCount: 1,
};

test("matches records: entries are alternatives, commas mean all", () => {
  const matching = [
    [],
    [""],
    ["type==regular"],
    ["type=regular,id==abc"],
    ["id~=^ab"],
    ["inuse"],
    ["parents==p2"],
    ["type!=internal"],
    ["id==x", "private"],
    ['description=="a step"'],
  ];
  const others = [["type==internal"], ["id==abc,shared"], ["mutable"], ["id~=^b"], ["nonesuch"]];
  for (const filters of matching) assert.ok(recordFilter(filters)(record), filters.join(" or "));
  for (const filters of others) assert.ok(!recordFilter(filters)(record), filters.join(" or "));
});

test("refuses what is no filter", () => {
  for (const filter of ["==x", "id~=(", "a b"]) {
    assert.throws(() => recordFilter([filter]), /failed to parse prune filters/, filter);
  }
});
