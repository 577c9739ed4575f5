import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { nextStatuses, recoveryRules } from "../src/domain/container-state.ts";

const document = readFileSync(path.join(import.meta.dirname, "../../../docs/lifecycle.md"), "utf8");

describe("docs/lifecycle.md", () => {
  it("draws exactly the transitions of the table", () => {
    const drawn = [...document.matchAll(/^ {4}(\w+) --> (\w+)$/gm)].map(
      (match) => `${match[1] ?? ""} ${match[2] ?? ""}`,
    );
    const table = Object.entries(nextStatuses).flatMap(([from, to]) =>
      to.map((status) => `${from} ${status}`),
    );
    assert.deepEqual(drawn.toSorted(), table.toSorted());
  });

  it("gives the recovery rule of each state in the code's words", () => {
    for (const [status, rule] of Object.entries(recoveryRules)) {
      assert.ok(document.includes(`| ${status} | ${rule} |`), status);
    }
  });
});
