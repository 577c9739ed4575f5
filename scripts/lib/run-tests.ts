/** Runs test files in a child process and reads what each test came to. */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { runCommand } from "./command.ts";
import { inRoot, node } from "./repository.ts";
import type { TestLine } from "./test-report.ts";

/** How to run some files. */
export interface RunTestsOptions {
  /** All files in one process: for unit tests, which share nothing. */
  readonly oneProcess: boolean;
  /** Limit for one test. */
  readonly timeoutMs: number;
  /** Variables of the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Gets what the tests print, when they have ended, instead of their printing it. */
  readonly collect?: (output: string) => void;
}

/** Runs so far, which may be side by side. */
let runs = 0;

/** Runs the files and returns a line for each test; a process that broke counts as one that failed. */
export async function runTests(
  files: readonly string[],
  options: RunTestsOptions,
): Promise<TestLine[]> {
  runs += 1;
  const results = inRoot(`.cache/test-results-${process.pid}-${runs}`);
  mkdirSync(inRoot(".cache"), { recursive: true });
  rmSync(results, { force: true });
  const code = await runCommand(
    [
      node,
      "--enable-source-maps",
      "--disable-warning=ExperimentalWarning",
      "--test",
      `--test-isolation=${options.oneProcess ? "none" : "process"}`,
      `--test-timeout=${options.timeoutMs}`,
      // Open handles must not keep a finished file alive for ever.
      "--test-force-exit",
      "--test-reporter=spec",
      "--test-reporter-destination=stdout",
      `--test-reporter=${inRoot("scripts/lib/test-report.ts")}`,
      `--test-reporter-destination=${results}`,
      ...files,
    ],
    {
      env: options.env ?? {},
      ...(options.collect !== undefined && { collect: options.collect }),
    },
  );
  const lines = existsSync(results) ? parse(readFileSync(results, "utf8")) : [];
  rmSync(results, { force: true });
  const told = lines.some(({ result }) => result === "failed");
  if (code === 0 || told) return lines;
  const broken = { file: files.join(" "), name: "the test process", reason: `exit code ${code}` };
  return [...lines, { ...broken, result: "failed" }];
}

const parse = (text: string): TestLine[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as TestLine);
