/**
 * `npm test [-- filter…]`: builds what is stale, then runs all tests: unit tests in one process, then
 * integration and end-to-end tests, one process per file.
 *
 *   filter               run only files whose path holds one of these texts
 *   --only <kind>        unit, integration or e2e
 *   --skip-list <file>   which tests a machine may skip; default e2e/skips.json
 *   --deep               with what takes too long for every day (`npm run test:deep`)
 */
import "./lib/failure.ts";
import { parseArgs } from "node:util";
import { complain, say } from "@gantry/logging";
import { debianProgram } from "@gantry/testkit/debian";
import { buildForTests } from "./lib/build.ts";
import { findDockerCli } from "./lib/docker-cli.ts";
import { checkLeftovers, cleanLeftovers, leftovers } from "./lib/leftovers.ts";
import { runTests } from "./lib/run-tests.ts";
import { checkSkips, readSkips } from "./lib/skips.ts";
import { type TestKind, testFiles } from "./lib/test-files.ts";
import type { TestLine } from "./lib/test-report.ts";

const { values, positionals } = parseArgs({
  options: {
    only: { type: "string" },
    "skip-list": { type: "string" },
    deep: { type: "boolean", default: false },
  },
  allowPositionals: true,
});

const minuteMs = 60_000;
/** How long each file of integration and end-to-end tests took. */
const elapsedMs = new Map<string, number>();
const slowestShown = 10;
const env = values.deep ? { GANTRY_TEST_DEEP: "1" } : {};

async function runKind(kind: TestKind): Promise<TestLine[]> {
  const files = testFiles(kind, positionals, { deep: values.deep });
  if (files.length === 0) return [];
  say(`\n${kind} tests: ${files.length} files`);
  if (kind === "unit") return runTests(files, { oneProcess: true, timeoutMs: 10 * minuteMs, env });
  const lines: TestLine[] = [];
  for (const file of files) {
    say(`\n${file}`);
    const timeoutMs = (values.deep ? 60 : 15) * minuteMs;
    const startedMs = performance.now();
    lines.push(...(await runTests([file], { oneProcess: false, timeoutMs, env })));
    elapsedMs.set(file, performance.now() - startedMs);
  }
  return lines;
}

function isSelected(kind: TestKind): boolean {
  return values.only === undefined || values.only === kind;
}

await buildForTests({ deep: values.deep });
// Fetched once, before the tests that need them.
await debianProgram("nats-server", "/usr/sbin/nats-server");
await findDockerCli();
const kinds: readonly TestKind[] = ["unit", "integration", "e2e"];
const all: TestLine[] = [];
await cleanLeftovers();
const before = await leftovers();
for (const kind of kinds) if (isSelected(kind)) all.push(...(await runKind(kind)));
if (all.length > 0) all.push(await checkLeftovers(before));
const lines = checkSkips(all, readSkips(values["skip-list"]));

const slowest = [...elapsedMs].sort(([, one], [, other]) => other - one).slice(0, slowestShown);
if (slowest.length > 0) say("\nslowest files:");
for (const [file, ms] of slowest) say(`${(ms / 1000).toFixed(0).padStart(5)} s  ${file}`);

const indented = (text: string): string => text.replaceAll(/^/gm, "    ");
const count = (result: TestLine["result"]): number =>
  lines.filter((line) => line.result === result).length;
say();
for (const { file, name, result, reason } of lines) {
  if (result === "skipped") say(`skipped: ${name} (${reason}) ${file}`);
  if (result === "failed") complain(`failed: ${name} ${file}\n${indented(reason)}`);
}
if (lines.length === 0) complain("no test matches");
say(`${count("passed")} passed, ${count("failed")} failed`);
process.exitCode = count("failed") === 0 && lines.length > 0 ? 0 : 1;
