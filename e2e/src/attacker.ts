/** The hostile program, built for the test that asks for it. */
import { existsSync, mkdirSync, statSync } from "node:fs";
import path from "node:path";
import { mustRun } from "@gantry/testkit/run";
import { repository } from "@gantry/testkit/test-engine";

/** Builds attack/attacker.cc where it is older than its source; returns the static program's path. */
export async function buildAttacker(): Promise<string> {
  const source = path.join(repository, "e2e/attack/attacker.cc");
  const folder = path.join(repository, ".cache/attack");
  const program = path.join(folder, "attacker");
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return program;
  mkdirSync(folder, { recursive: true });
  const flags = ["-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-static", "-D_GNU_SOURCE"];
  await mustRun(["g++", ...flags, "-o", program, source]);
  return program;
}
