import assert from "node:assert/strict";
import { it } from "node:test";
import { openDeparted } from "./departed.ts";

it("ends of containers that removed themselves are known for ten seconds, and no more than a thousand", () => {
  let now = 0;
  const departed = openDeparted(() => now);
  departed.note("a", 3);
  now = 9_999;
  departed.note("b", 0);
  assert.deepEqual([departed.exitCode("a"), departed.exitCode("b")], [3, 0]);
  now = 10_000;
  assert.deepEqual([departed.exitCode("a"), departed.exitCode("b")], [undefined, 0]);
  for (let index = 0; index < 1000; index++) departed.note(String(index), index);
  assert.deepEqual([departed.exitCode("b"), departed.exitCode("0")], [undefined, 0]);
});
