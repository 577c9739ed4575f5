import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { it } from "node:test";
import { cleanEnvironment } from "@gantry/testkit";
import { inRoot } from "./repository.ts";
import type { TestLine } from "./test-report.ts";

/** Runs a test file that passes, and gives what is reported. */
function reportOf(t: { after(undo: () => void): void }, text: string): [string, string, string][] {
  const folder = mkdtempSync(path.join(tmpdir(), "gantry-report-"));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const file = path.join(folder, "some.test.mjs");
  writeFileSync(file, `import { describe, it } from "node:test";\n${text}`);
  const reporter = inRoot("scripts/lib/test-report.ts");
  const args = ["--test", `--test-reporter=${reporter}`, file];
  // Node's runner does not run inside of its own tests, which it knows by a variable.
  const shown = execFileSync(process.execPath, args, { env: cleanEnvironment(), encoding: "utf8" });
  return shown
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as TestLine)
    .map(({ name, result, reason }) => [name, result, reason]);
}

it("tells of a skipped suite as of a skipped test", (t) => {
  const lines = reportOf(
    t,
    `describe("run", () => {
      it("passes", () => {});
      it("is skipped", { skip: "no disk" }, () => {});
    });
    describe("a whole suite", { skip: "no such kernel" }, () => {
      it("is not told of", () => {});
    });`,
  );
  assert.deepEqual(lines, [
    ["passes", "passed", ""],
    ["is skipped", "skipped", "no disk"],
    ["a whole suite", "skipped", "no such kernel"],
  ]);
});
