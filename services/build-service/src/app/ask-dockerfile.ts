/** What can be asked of a Dockerfile without building it. */
import { parseDockerfile } from "../domain/dockerfile/parse.ts";
import { splitStages } from "../domain/frontend/stages.ts";
import type { BuildRequest } from "../ports/build.ts";
import type { BuildInputs } from "../ports/build-inputs.ts";
import type { LintReport, Outline, TargetFacts } from "../ports/dockerfile-facts.ts";
import type { ProgressSink } from "../ports/progress.ts";
import type { BuilderParts } from "./builder-parts.ts";
import { targetsOf } from "./outline.ts";
import { placed, RunningBuild } from "./run-build.ts";

/** Parameters that the target takes. */
export async function outlineBuild(...context: BuildContextParts): Promise<Outline> {
  const build = new RunningBuild(...context, undefined);
  try {
    return await build.outline();
  } catch (error) {
    await build.fail(error);
    throw build.told(error);
  }
}

/** The stages of a Dockerfile. Throws BuildError. */
export function targetsOfDockerfile({ dockerfile }: BuildInputs): TargetFacts[] {
  try {
    const parsed = parseDockerfile(Buffer.from(dockerfile.bytes).toString("utf8"), "later");
    return targetsOf(splitStages(parsed));
  } catch (error) {
    throw placed(error, dockerfile);
  }
}

/** What BuildKit's checks find. */
export async function lintBuild(...context: BuildContextParts): Promise<LintReport> {
  return await new RunningBuild(...context, undefined).lint();
}

type BuildContextParts = [
  parts: BuilderParts,
  request: BuildRequest,
  inputs: BuildInputs,
  sink: ProgressSink,
  signal: AbortSignal,
];
