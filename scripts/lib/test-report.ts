/**
 * A reporter for node:test that writes one JSON line per finished test, so that the runner can count
 * over many processes. Loaded by path: `--test-reporter=…/test-report.ts`.
 */
import type { TestEvent } from "node:test/reporters";

/** One finished test. A suite is none, unless it is skipped: its tests are not told of then. */
export interface TestLine {
  readonly file: string;
  readonly name: string;
  readonly result: "passed" | "failed" | "skipped";
  /** Why it was skipped, or what it failed with. */
  readonly reason: string;
}

export default async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    const line = lineOf(event);
    if (line !== undefined) yield `${JSON.stringify(line)}\n`;
  }
}

function lineOf(event: TestEvent): TestLine | undefined {
  if (event.type !== "test:pass" && event.type !== "test:fail") return undefined;
  const { data } = event;
  const file = data.file ?? "";
  const skip = data.skip;
  if (skip !== undefined && skip !== false) {
    return { file, name: data.name, result: "skipped", reason: skip === true ? "" : skip };
  }
  // A suite fails because of its tests, unless its own hooks did; a file counts only when it broke.
  if (event.type === "test:pass" && event.data.details.type === "suite") return undefined;
  if (event.type === "test:fail" && failedByChildren(event.data.details.error)) return undefined;
  if (event.type === "test:pass") return { file, name: data.name, result: "passed", reason: "" };
  return { file, name: data.name, result: "failed", reason: reasonOf(event.data.details.error) };
}

const longestReason = 2000;

/** The test's own error: the runner wraps it. */
function reasonOf(error: Error): string {
  const cause = error.cause instanceof Error ? error.cause.message : error.message;
  return cause.slice(0, longestReason);
}

function failedByChildren(error: Error): boolean {
  return "failureType" in error && error.failureType === "subtestsFailed";
}
