/** BuildKit's checks over one build: what they find is told as warnings, or fails the build. */
import {
  formatPlatform,
  hostPlatform,
  type Platform,
  parsePlatform,
  parseReference,
} from "@gantry/oci";
import { BuildFailure } from "../domain/build-failure.ts";
import { IgnoreRules } from "../domain/dockerfile/dockerignore.ts";
import type { Dockerfile } from "../domain/dockerfile/parse.ts";
import type { Parsed } from "../domain/dockerfile/syntax-error.ts";
import { platformArguments } from "../domain/frontend/arguments.ts";
import type { Stages } from "../domain/frontend/stages.ts";
import { lintFile, lintUnparsed } from "../domain/lint/lint-file.ts";
import { lintStage } from "../domain/lint/lint-stage.ts";
import { type Finding, readCheckOptions } from "../domain/lint/rules.ts";
import type { BuildRequest } from "../ports/build.ts";
import type { PlannedStage } from "./planned-stage.ts";

/** Checks of one Dockerfile. */
export class DockerfileChecks {
  readonly #options: ReturnType<typeof readCheckOptions>;
  readonly #tell: (finding: Finding) => void;
  /** How often each was told: platforms find the same. */
  readonly #told = new Map<string, number>();
  readonly #rules = new Set<string>();

  constructor(
    dockerfile: Pick<Dockerfile, "directives">,
    { buildArgs }: Pick<BuildRequest, "buildArgs">,
    tell: (finding: Finding) => void,
  ) {
    // A directive ends at its first blank.
    const [written = ""] = dockerfile.directives.get("check")?.split(" ") ?? [];
    this.#options = optionsOf(buildArgs.get("BUILDKIT_DOCKERFILE_CHECK") ?? written);
    this.#tell = tell;
  }

  /** What is seen of a text before an instruction in it is found wrong. */
  ofUnparsed(parsed: Parsed): void {
    this.#take(lintUnparsed(parsed));
  }

  /** What the text alone tells. */
  ofFile(dockerfile: Dockerfile, file: Stages, escape: string, target: Platform): void {
    const predefined = platformArguments(hostPlatform(), target, "");
    const platform = (text: string) => attempt(() => parsePlatform(text));
    const isReference = (text: string): boolean =>
      attempt(() => parseReference(text)) !== undefined;
    this.#take(lintFile(dockerfile, file, { predefined, escape, isReference, platform }));
  }

  /**
   * What stages tell that take part in the build, those first that others stand on.
   * @param ignore the context's .dockerignore
   */
  ofStages(stages: readonly PlannedStage[], escape: string, ignore: string): void {
    const withDirectory = new Set<number>();
    const seen = new Map<string, number>();
    const rules = new IgnoreRules(ignore);
    const ignores = (path: string): boolean => rules.ignores(path);
    for (const planned of stages) {
      const { stage, steps, parent } = planned;
      const hasDirectory = parent !== undefined && withDirectory.has(parent);
      this.#take(basePlatform(planned), seen);
      this.#take(lintStage(steps, { escape, hasDirectory, ignores }), seen);
      const sets = steps.some(({ instruction }) => instruction.kind === "WORKDIR");
      if (hasDirectory || sets) withDirectory.add(stage.index);
    }
  }

  /** Throws BuildFailure when something was found in a Dockerfile that wants that. */
  end(): void {
    if (!this.#options.isError || this.#rules.size === 0) return;
    throw new BuildFailure(`lint violation found for rules: ${[...this.#rules].join(", ")}`);
  }

  /** @param seen how often the same was found for this platform */
  #take(findings: readonly Finding[], seen = new Map<string, number>()): void {
    for (const finding of findings) {
      if (!this.#options.wants(finding.rule)) continue;
      const identity = JSON.stringify(finding);
      const count = (seen.get(identity) ?? 0) + 1;
      seen.set(identity, count);
      if (count <= (this.#told.get(identity) ?? 0)) continue;
      this.#told.set(identity, count);
      this.#rules.add(finding.rule);
      this.#tell(finding);
    }
  }
}

/** An image that is here may be for another machine than the stage. */
function basePlatform({ stage, base, image }: PlannedStage): Finding[] {
  const { op } = base.tree;
  if (image === undefined || op.kind !== "image") return [];
  const { platform: wanted } = op;
  const { platform: actual } = image;
  if (wanted.os === actual.os && wanted.architecture === actual.architecture) return [];
  const [has, expected] = [formatPlatform(actual), formatPlatform(wanted)].map((each) =>
    JSON.stringify(each),
  );
  const message = `Base image ${op.reference} was pulled with platform ${has ?? ""}, expected ${expected ?? ""} for current build`;
  return [{ rule: "InvalidBaseImagePlatform", message, lines: stage.from.lines }];
}

function optionsOf(text: string): ReturnType<typeof readCheckOptions> {
  try {
    return readCheckOptions(text);
  } catch (error) {
    throw new BuildFailure(error instanceof Error ? error.message : String(error));
  }
}

function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}
