/** Build steps that run only when what they are made from has changed. */
import { createHash } from "node:crypto";
import {
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { say } from "@gantry/logging";
import { inRoot, root } from "./repository.ts";

/** One step of the build. */
export interface BuildStep {
  /** Short name, for the stamp file and for people. */
  readonly name: string;
  /** Glob patterns, from the root, of all that the result depends on. */
  readonly inputs: readonly string[];
  /** Paths, from the root, of which none may be missing afterwards. */
  readonly outputs: readonly string[];
  readonly run: () => Promise<void>;
}

/** Runs a step when an output is missing or an input differs from the last time. */
export async function runIfStale(step: BuildStep): Promise<boolean> {
  const stamp = inRoot(".cache/stamps", step.name);
  const hash = hashInputs(step.inputs);
  const complete = step.outputs.every((output) => existsSync(inRoot(output)));
  if (complete && existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return false;
  say(`building ${step.name}`);
  // Gone while the step runs: an interrupted one is not taken for done.
  rmSync(stamp, { force: true });
  await step.run();
  for (const output of step.outputs) {
    if (!existsSync(inRoot(output))) throw new Error(`step ${step.name} made no ${output}`);
  }
  mkdirSync(path.dirname(stamp), { recursive: true });
  writeFileSync(stamp, hash);
  return true;
}

/** Hash over names and bytes of all files that the patterns match. */
function hashInputs(patterns: readonly string[]): string {
  const files = patterns.flatMap((pattern) => globSync(pattern, { cwd: root })).sort();
  const hash = createHash("sha256");
  for (const file of new Set(files)) {
    if (!statSync(inRoot(file)).isFile()) continue;
    hash
      .update(`${file}\0`)
      .update(readFileSync(inRoot(file)))
      .update("\0");
  }
  return hash.digest("hex");
}
