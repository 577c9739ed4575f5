/** Which test files there are, and how each kind is run. */
import { globSync } from "node:fs";
import { root } from "./repository.ts";

/** Kinds of tests, in the order in which they run: quick ones first. */
export type TestKind = "unit" | "integration" | "e2e";

const patterns: Readonly<Record<TestKind, readonly string[]>> = {
  unit: [
    "packages/*/src/**/*.test.ts",
    "services/*/src/**/*.test.ts",
    "bench/src/**/*.test.ts",
    "scripts/**/*.test.ts",
  ],
  integration: [
    "packages/*/test/**/*.test.ts",
    "native/test/**/*.test.ts",
    "services/*/test/**/*.test.ts",
  ],
  e2e: ["e2e/**/*.test.ts"],
};

/** Files of `npm run test:deep` only. */
const deepSuffix = ".deep.test.ts";

/** Test files of a kind whose path holds one of the filters (all, when there is none). */
export function testFiles(
  kind: TestKind,
  filters: readonly string[],
  options: { readonly deep: boolean },
): string[] {
  const files = globSync([...patterns[kind]], {
    cwd: root,
    exclude: (name) => name === "node_modules",
  });
  return [...new Set(files)]
    .filter((file) => options.deep || !file.endsWith(deepSuffix))
    .filter((file) => filters.length === 0 || filters.some((each) => file.includes(each)))
    .sort();
}

/** What a test file changes for the whole machine, so that no other of the same kind may run beside it. */
const sharedByFiles: Readonly<Record<string, readonly string[]>> = {
  // They register emulators for foreign programs.
  binfmt: ["e2e/scenarios/build-platforms.test.ts", "e2e/scenarios/image-layers.test.ts"],
};

/** What a test file has to have for itself; undefined when it can run beside any other. */
export function roomOf(file: string): string | undefined {
  return Object.keys(sharedByFiles).find((name) => sharedByFiles[name]?.includes(file));
}
