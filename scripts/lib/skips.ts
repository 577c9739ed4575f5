/**
 * The one list of tests that a machine may be unable to run: e2e/skips.json. A test that is skipped
 * and not listed is a failure, so that nothing goes missing quietly.
 */
import { existsSync, readFileSync } from "node:fs";
import { inRoot } from "./repository.ts";
import type { TestLine } from "./test-report.ts";

/** One entry of the list. */
export interface AllowedSkip {
  /** Name of the test, exactly. */
  readonly test: string;
  /** What a machine must lack for it to be skipped. */
  readonly reason: string;
}

/** Reads the list. */
export function readSkips(file: string = inRoot("e2e/skips.json")): AllowedSkip[] {
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as AllowedSkip[]) : [];
}

/** Turns skips that nobody listed into failures. */
export function checkSkips(
  lines: readonly TestLine[],
  allowed: readonly AllowedSkip[],
): TestLine[] {
  const names = new Set(allowed.map(({ test }) => test));
  return lines.map((line) =>
    line.result === "skipped" && !names.has(line.name)
      ? { ...line, result: "failed", reason: `skipped (${line.reason}) but not in e2e/skips.json` }
      : line,
  );
}
