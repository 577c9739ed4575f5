/** A build's Dockerfile, read and parted into stages. */
import { hostPlatform } from "@gantry/oci";
import { readDirectives } from "../domain/dockerfile/directives.ts";
import {
  type Dockerfile,
  type Grammar,
  grammarOf,
  parseDockerfile,
} from "../domain/dockerfile/parse.ts";
import { DockerfileSyntaxError } from "../domain/dockerfile/syntax-error.ts";
import { findTarget, type Stage, type Stages, splitStages } from "../domain/frontend/stages.ts";
import type { Finding } from "../domain/lint/rules.ts";
import type { BuildRequest } from "../ports/build.ts";
import { DockerfileChecks } from "./dockerfile-checks.ts";

/** A Dockerfile in stages. */
export interface ReadDockerfile {
  readonly dockerfile: Dockerfile;
  readonly file: Stages;
  readonly target: Stage;
  readonly escape: string;
}

/**
 * Throws DockerfileSyntaxError, BuildFailure.
 * @param builtIn its directives are not heeded: the classic builder knows none
 * @param tell what its lines tell counts also when one of them is wrong
 */
export function readDockerfile(
  bytes: Uint8Array,
  request: BuildRequest,
  builtIn: boolean,
  tell: (finding: Finding) => void,
): ReadDockerfile {
  const text = Buffer.from(bytes).toString("utf8");
  const grammar = builtIn ? "built in" : grammarAsked(text, request);
  const dockerfile = parse(text, grammar, request, tell);
  const file = splitStages(dockerfile);
  const escape = dockerfile.directives.get("escape") ?? "\\";
  try {
    return { dockerfile, file, target: findTarget(file.stages, request.target), escape };
  } catch (error) {
    const platform = request.platforms[0] ?? hostPlatform();
    new DockerfileChecks(dockerfile, request, tell).ofFile(dockerfile, file, escape, platform);
    throw error;
  }
}

function grammarAsked(text: string, { buildArgs }: BuildRequest): Grammar {
  return grammarOf(buildArgs.get("BUILDKIT_SYNTAX") ?? readDirectives(text).get("syntax") ?? "");
}

function parse(
  text: string,
  grammar: Grammar,
  request: BuildRequest,
  tell: (finding: Finding) => void,
): Dockerfile {
  try {
    return parseDockerfile(text, grammar);
  } catch (error) {
    if (error instanceof DockerfileSyntaxError && error.parsed !== undefined) {
      const directives = readDirectives(text);
      new DockerfileChecks({ directives }, request, tell).ofUnparsed(error.parsed);
    }
    throw error;
  }
}
