import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Query } from "../query.ts";
import { readBuildQuery } from "./build.ts";

describe("the numbers of a build", () => {
  const limits = (query: string) => readBuildQuery(new Query(query), "").limits;

  it("count as none where they are no numbers, but for the size of /dev/shm", () => {
    assert.equal(limits("memory=x&cpushares=7")?.memoryBytes, 0n);
    assert.equal(limits("memory=x&cpushares=7")?.cpuShares, 7n);
    assert.equal(limits("shmsize=65536")?.shmSizeBytes, 65536n);
    assert.equal(limits("shmsize=")?.shmSizeBytes, 0n);
    for (const [text, problem] of [
      ["x", "invalid syntax"],
      ["9223372036854775808", "value out of range"],
    ] as const) {
      assert.throws(() => limits(`shmsize=${text}`), {
        kind: "invalid_argument",
        message: `strconv.ParseInt: parsing "${text}": ${problem}`,
      });
    }
  });
});
