/** `npm run check`: format, lint, types, wire contracts. Runs all checks and fails when one fails. */
import "./lib/failure.ts";
import { existsSync } from "node:fs";
import { complain, say } from "@gantry/logging";
import { buildProto } from "./lib/build.ts";
import { runCommand } from "./lib/command.ts";
import { inRoot, npmProgram } from "./lib/repository.ts";

interface Check {
  readonly name: string;
  readonly argv: readonly string[];
}

const program = (name: string, ...args: string[]): readonly string[] => [npmProgram(name), ...args];

const checks: readonly Check[] = [
  { name: "format", argv: program("biome", "ci", "--colors=off", ".") },
  { name: "types", argv: program("tsc", "-p", "tsconfig.json", "--noEmit") },
  { name: "lint", argv: program("eslint", "--cache", "--cache-location", ".cache/eslint", ".") },
  { name: "proto lint", argv: program("buf", "lint") },
  { name: "proto format", argv: program("buf", "format", "--diff", "--exit-code") },
];

/** Breaking changes are looked for against the branch main, where this is a clone that has one. */
async function breakingCheck(): Promise<Check[]> {
  if (!existsSync(inRoot(".git"))) return [];
  const quiet = { quiet: true };
  const main = await runCommand(["git", "cat-file", "-e", "main:proto/gantry"], quiet).catch(
    () => 1,
  );
  if (main !== 0) return [];
  const against = ".git#branch=main";
  return [{ name: "proto breaking", argv: program("buf", "breaking", "--against", against) }];
}

await buildProto();
const wanted = process.argv.slice(2);
const failed: string[] = [];
for (const { name, argv } of [...checks, ...(await breakingCheck())]) {
  if (wanted.length > 0 && !wanted.some((word) => name.includes(word))) continue;
  say(`check: ${name}`);
  if ((await runCommand(argv)) !== 0) failed.push(name);
}
if (failed.length > 0) {
  complain(`failed: ${failed.join(", ")}`);
  process.exitCode = 1;
}
