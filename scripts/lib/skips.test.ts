import assert from "node:assert/strict";
import { it } from "node:test";
import { checkSkips } from "./skips.ts";
import type { TestLine } from "./test-report.ts";

const line = (name: string, result: TestLine["result"]): TestLine => ({
  file: "x.test.ts",
  name,
  result,
  reason: "no kvm",
});

it("a skipped test counts as failed unless the list names it", () => {
  const lines = [line("a", "skipped"), line("b", "skipped"), line("c", "passed")];
  const checked = checkSkips(lines, [{ test: "a", reason: "needs kvm" }]);
  assert.deepEqual(
    checked.map(({ result }) => result),
    ["skipped", "failed", "passed"],
  );
});
