/**
 * `npm test [-- filter…]`: builds what is stale, then runs all tests: unit tests in one process, then
 * integration and end-to-end tests, one process per file, and some files side by side.
 *
 *   filter               run only files whose path holds one of these texts
 *   --only <kind>        unit, integration or e2e
 *   --skip-list <file>   which tests a machine may skip; default e2e/skips.json
 *   --lanes <n>          how many files at a time; default 2, and 1 with --deep or on one processor
 *   --deep               with what takes too long for every day (`npm run test:deep`)
 */
import "./lib/failure.ts";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { complain, say } from "@gantry/logging";
import { debianProgram } from "@gantry/testkit/debian";
import { buildForTests } from "./lib/build.ts";
import { linkTestedCli } from "./lib/docker-cli.ts";
import { inLanes } from "./lib/lanes.ts";
import { checkLeftovers, cleanLeftovers, leftovers } from "./lib/leftovers.ts";
import { runTests } from "./lib/run-tests.ts";
import { checkSkips, readSkips } from "./lib/skips.ts";
import { roomOf, type TestKind, testFiles } from "./lib/test-files.ts";
import type { TestLine } from "./lib/test-report.ts";

const { values, positionals } = parseArgs({
  options: {
    only: { type: "string" },
    "skip-list": { type: "string" },
    lanes: { type: "string" },
    deep: { type: "boolean", default: false },
  },
  allowPositionals: true,
});

const minuteMs = 60_000;
/** How long each file of integration and end-to-end tests took. */
const elapsedMs = new Map<string, number>();
const slowestShown = 10;
const env = values.deep ? { GANTRY_TEST_DEEP: "1" } : {};
const lanes = Number(values.lanes ?? (values.deep ? 1 : Math.min(2, availableParallelism())));
if (!Number.isInteger(lanes) || lanes < 1)
  throw new Error(`--lanes ${String(values.lanes)}: not a number of files`);

async function runUnits(): Promise<TestLine[]> {
  const files = filesOf("unit");
  if (files.length === 0) return [];
  say(`\nunit tests: ${files.length} files`);
  return await runTests(files, { oneProcess: true, timeoutMs: 10 * minuteMs, env });
}

/** Tests that run on the machine itself, file by file. */
async function runFiles(): Promise<TestLine[]> {
  const files = [...filesOf("integration"), ...filesOf("e2e")];
  if (files.length === 0) return [];
  say(`\nintegration and e2e tests: ${files.length} files, ${lanes} at a time`);
  const lines: TestLine[] = [];
  await inLanes(files, { lanes, roomOf }, async (file) => {
    lines.push(...(await runFile(file)));
  });
  return lines;
}

async function runFile(file: string): Promise<TestLine[]> {
  const timeoutMs = (values.deep ? 60 : 15) * minuteMs;
  // Output of files side by side would be mixed.
  const collect = (output: string): void => {
    say(`\n${file}\n${output}`);
  };
  if (lanes === 1) say(`\n${file}`);
  const startedMs = performance.now();
  const options = { oneProcess: false, timeoutMs, env, ...(lanes > 1 && { collect }) };
  const lines = await runTests([file], options);
  elapsedMs.set(file, performance.now() - startedMs);
  return lines;
}

function filesOf(kind: TestKind): string[] {
  if (values.only !== undefined && values.only !== kind) return [];
  return testFiles(kind, positionals, { deep: values.deep });
}

await buildForTests({ deep: values.deep });
// Fetched once, before the tests that need them.
await debianProgram("nats-server", "/usr/sbin/nats-server");
await linkTestedCli();
await cleanLeftovers();
const before = await leftovers();
const all = [...(await runUnits()), ...(await runFiles())];
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
