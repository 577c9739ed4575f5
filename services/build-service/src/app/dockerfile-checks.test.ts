/** What BuildKit 0.25's checks say of Dockerfiles, in its order and words. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostPlatform } from "@gantry/oci";
import { parseDockerfile } from "../domain/dockerfile/parse.ts";
import { DockerfileSyntaxError } from "../domain/dockerfile/syntax-error.ts";
import { findTarget, splitStages } from "../domain/frontend/stages.ts";
import { shownFinding } from "../domain/lint/rules.ts";
import type { BuildRequest } from "../ports/build.ts";
import type { BuildInputs } from "../ports/build-inputs.ts";
import { DockerfileChecks } from "./dockerfile-checks.ts";
import { StagePlanner } from "./plan-stages.ts";

const unused = { id: "test", target: "", buildArgs: new Map(), networkMode: "default" } as const;
const request = {
  ...unused,
  platforms: [],
  entitlements: [],
  noCacheStages: [],
} as unknown as BuildRequest;
const inputs = { namedContexts: new Map() } as unknown as BuildInputs;

/** Warnings of a Dockerfile over an image with PATH. Throws what the checks throw. */
async function warningsOf(
  lines: readonly string[],
  buildArgs = new Map<string, string>(),
  ignore = "",
): Promise<string[]> {
  const dockerfile = parseDockerfile(lines.join("\n"));
  const file = splitStages(dockerfile);
  const target = findTarget(file.stages, "");
  const planner = new StagePlanner({
    ...{
      request: { ...request, buildArgs },
      inputs,
      file,
      escape: "\\",
      target,
      style: "buildkit",
    },
    ...{ platform: hostPlatform(), fullName: (reference) => reference },
    layout: () => Promise.reject(new Error("there is no layout")),
    base: (reference) =>
      Promise.resolve({
        ...{ id: "sha256:1", reference, chainId: "chain", layers: [], platform: hostPlatform() },
        document: { ...hostPlatform(), history: [], config: { Env: ["PATH=/bin"] } },
      }),
  });
  const told: string[] = [];
  const checks = new DockerfileChecks(dockerfile, { buildArgs }, (finding) => {
    told.push(shownFinding(finding).short);
  });
  checks.ofFile(dockerfile, file, "\\", hostPlatform());
  await planner.plan(target);
  checks.ofStages(await planner.planned(), "\\", ignore);
  checks.end();
  return told;
}

const json = (kind: string, line: number): string =>
  `JSONArgsRecommended: JSON arguments recommended for ${kind} to prevent unintended behavior related to OS signals (line ${String(line)})`;
const many = (kind: string, line: number): string =>
  `MultipleInstructionsDisallowed: Multiple ${kind} instructions should not be used in the same stage because only the last one will be used (line ${String(line)})`;
const undefinedVar = (name: string, line: number, near?: string): string =>
  `UndefinedVar: Usage of undefined variable '$${name}'${near === undefined ? "" : ` (did you mean $${near}?)`} (line ${String(line)})`;
const secret = (what: string, line: number): string =>
  `SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (${what}) (line ${String(line)})`;
const casing = (word: string, line: number, majority = "uppercase"): string =>
  `ConsistentInstructionCasing: Command '${word}' should match the case of the command majority (${majority}) (line ${String(line)})`;
const relative = (directory: string, line: number): string =>
  `WorkdirRelativePath: Relative workdir "${directory}" can have unexpected results if the base image changes (line ${String(line)})`;

const cases: Readonly<Record<string, readonly [readonly string[], readonly string[]]>> = {
  "of instructions": [
    [
      ...["from busybox as A", "MAINTAINER x", "ENV A 1", "LABEL b c"],
      ...["ENV SECRET_TOKEN=1 B_PASSWORD=2", "ARG MY_SECRET=1", "ARG AWS_KEY", "ARG public_key"],
      ...["WORKDIR x", "RUN echo $A\\", "", "  hi", "CMD echo hi", "CMD echo $FOO"],
      ...["ENTRYPOINT echo", 'ENTRYPOINT ["x"]', "HEALTHCHECK CMD true", "HEALTHCHECK CMD false"],
    ],
    [
      "NoEmptyContinuation: Empty continuation line (line 12)",
      "StageNameCasing: Stage name 'A' should be lowercase (line 1)",
      "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)",
      casing("from", 1),
      'LegacyKeyValueFormat: "ENV key=value" should be used instead of legacy "ENV key value" format (line 3)',
      'LegacyKeyValueFormat: "LABEL key=value" should be used instead of legacy "LABEL key value" format (line 4)',
      secret('ENV "SECRET_TOKEN"', 5),
      secret('ENV "B_PASSWORD"', 5),
      secret('ARG "MY_SECRET"', 6),
      secret('ARG "AWS_KEY"', 7),
      relative("x", 9),
      ...[json("CMD", 13), many("CMD", 13), json("CMD", 14)],
      ...[json("ENTRYPOINT", 15), many("ENTRYPOINT", 15), many("HEALTHCHECK", 17)],
    ],
  ],
  "of words that are expanded": [
    [
      ...["FROM busybox", "LABEL a=$B b=$B", "COPY <<EOF /x", "$NOPE", "EOF", "ARG FOO"],
      ...["RUN --mount=type=cache,target=/$X/y true", "ENV A=$FOOO", "env A b"],
      ...["EXPOSE ${P:-80/TCP}", "COPY --chown=$U --chmod=$M a /x"],
    ],
    [
      casing("env", 9),
      ...[undefinedVar("B", 2), undefinedVar("B", 2), undefinedVar("NOPE", 3)],
      ...[undefinedVar("X", 7), undefinedVar("FOOO", 8)],
      'LegacyKeyValueFormat: "env key=value" should be used instead of legacy "env key value" format (line 9)',
      "ExposeProtoCasing: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase (line 10)",
      ...[undefinedVar("U", 11, "A"), undefinedVar("M", 11, "A")],
    ],
  ],
  "of words that mix cases, which count for neither": [
    ["frOM busybox", "cOpy a /", "from busybox", "COPy b \\", "  /"],
    [
      casing("frOM", 1, "lowercase"),
      casing("cOpy", 2, "lowercase"),
      casing("COPy", 4, "lowercase"),
    ],
  ],
  "of stages and variables": [
    [
      ...["FROM busybox AS scratch", "RUN true", "FROM busybox AS context", "run true"],
      ...["FROM busybox AS x", "RUN true", "FROM busybox AS x"],
      ...["WORKDIR rel", "WORKDIR /abs", "WORKDIR rel2"],
      ...["EXPOSE 80/TCP", "EXPOSE 127.0.0.1:80:80", "EXPOSE 5000-5001/udp"],
      ...["ENV A=$NOPE", "COPY $PAHT /x/", "RUN echo $PAHT", "LABEL x=${NOPE2:-y}"],
      ...["ENV C=$C:x", "USER $HOEM"],
    ],
    [
      'ReservedStageName: Stage name should not use the same name as reserved stage "scratch" (line 1)',
      'ReservedStageName: Stage name should not use the same name as reserved stage "context" (line 3)',
      'DuplicateStageName: Duplicate stage name "x", stage names should be unique (line 7)',
      casing("run", 4),
      relative("rel", 8),
      "ExposeProtoCasing: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase (line 11)",
      "ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80' (line 12)",
      ...[undefinedVar("NOPE", 14), undefinedVar("PAHT", 15, "PATH"), undefinedVar("NOPE2", 17)],
      ...[undefinedVar("C", 18, "A"), undefinedVar("HOEM", 19)],
    ],
  ],
  "of FROM": [
    [
      ...[
        "ARG V",
        "ARG W=busybox",
        "FROM ${W}$V",
        "FROM --platform=$TARGETPLATFORM busybox AS one",
      ],
      ...["FROM --platform=linux/amd64 busybox AS two"],
      ...["FROM --platform=$BUILDPLATFORM busybox AS three", "FROM busybox:$TYPO"],
    ],
    [
      "InvalidDefaultArgInFrom: Default value for ARG busybox:$TYPO results in empty or invalid base image name (line 7)",
      "RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior (line 4)",
      'FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value "linux/amd64" (line 5)',
      "UndefinedArgInFrom: FROM argument 'TYPO' is not declared (line 7)",
    ],
  ],
  "of casing": [
    ["FROM busybox AS Upper", "FROM busybox as lower", "From busybox", "Copy a /b"],
    [
      "StageNameCasing: Stage name 'Upper' should be lowercase (line 1)",
      "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 2)",
      ...[casing("From", 3), casing("Copy", 4)],
    ],
  ],
  "of a majority in lower case": [
    [
      ...["FROM --platform=linux/amd64 busybox AS build-amd64", "FROM busybox"],
      ...["run true", 'cmd ["x"]', "env A=1"],
    ],
    [casing("FROM", 1, "lowercase"), casing("FROM", 2, "lowercase")],
  ],
  "of nothing wrong: arguments, a chosen shell, a stage's own directory": [
    [
      ...["FROM busybox AS base", "WORKDIR /x", "FROM base", "WORKDIR y", "ARG A", "LABEL z=$A"],
      ...['SHELL ["/bin/sh", "-c"]', "CMD echo hi", "ONBUILD CMD echo x"],
    ],
    [],
  ],
};

describe("warnings", () => {
  for (const [name, [lines, expected]] of Object.entries(cases)) {
    it(name, async () => {
      assert.deepEqual(await warningsOf(lines), expected);
    });
  }
  const bad = ["FROM busybox", "CMD echo hi", "MAINTAINER z"];
  const maintainer =
    "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 4)";

  it("are left out when the Dockerfile or an argument says so", async () => {
    assert.deepEqual(await warningsOf(["# check=skip=JSONArgsRecommended", ...bad]), [maintainer]);
    assert.deepEqual(await warningsOf(["# check=skip=all", ...bad]), []);
    const argument = new Map([["BUILDKIT_DOCKERFILE_CHECK", "skip=all"]]);
    assert.deepEqual(await warningsOf(["# check=error=true", ...bad], argument), []);
  });
  it("of experimental rules are for those who ask: descriptions that are none, files that are left out", async () => {
    const lines = [
      ...[
        "# check=experimental=all",
        "# some text",
        "ARG A=1",
        "# B is right",
        "ARG B",
        "# wrong",
        "",
        "ARG C",
      ],
      ...[
        "# multi",
        "ARG D E",
        "# x",
        "FROM scratch AS base",
        "# base is another",
        "FROM scratch AS other",
      ],
      ...["# unnamed", "FROM scratch", "COPY igx /a", "COPY ig* dir/no dir/keep /n/", "ADD igx /b"],
      ...[
        "COPY --from=base igx /c",
        "COPY dir /d",
        "COPY ./igx /igx nothere /e/",
        "ADD http://x/igx /f",
      ],
    ];
    const comment = (kind: string, name: string, line: number): string =>
      `InvalidDefinitionDescription: Comment for ${kind} should follow the format: \`# ${name} <description>\` (line ${String(line)})`;
    const ignored = (verb: string, file: string, line: number): string =>
      `CopyIgnoredFile: Attempting to ${verb} file ${JSON.stringify(file)} that is excluded by .dockerignore (line ${String(line)})`;
    assert.deepEqual(await warningsOf(lines, undefined, "ig*\ndir/*\n!dir/keep\n"), [
      ...[comment("ARG", "A", 3), comment("ARG", "C", 8), comment("ARG", "<arg_key>", 10)],
      ...[comment("FROM", "base", 12), comment("FROM", "other", 14)],
      ...[ignored("Copy", "igx", 17), ignored("Copy", "ig*", 18), ignored("Copy", "dir/no", 18)],
      ignored("Add", "igx", 19),
    ]);
    assert.deepEqual(await warningsOf(lines.slice(1), undefined, "ig*\n"), []);
  });
  it("tell of a base that is here for another platform", async () => {
    const lines = ["FROM --platform=$X busybox"];
    const found = await warningsOf(["ARG X=linux/s390x", ...lines]);
    const { os, architecture } = hostPlatform();
    assert.deepEqual(found, [
      `InvalidBaseImagePlatform: Base image busybox was pulled with platform "${os}/${architecture}", expected "linux/s390x" for current build (line 2)`,
    ]);
  });
  it("fail the build when the Dockerfile says so", async () => {
    await assert.rejects(warningsOf(["# check=error=true", ...bad]), {
      message: "lint violation found for rules: MaintainerDeprecated, JSONArgsRecommended",
    });
    assert.deepEqual(await warningsOf(["# check=error=true", "FROM busybox"]), []);
  });
});

describe("what is wrong", () => {
  it("leaves what was found in the lines before it, and in its own words", async () => {
    const told: string[] = [];
    const text = 'FROM busybox AS A\nRUN x \\\n\n y\nmaintainer z\nFROM a "as" b\nMAINTAINER c\n';
    assert.throws(
      () => parseDockerfile(text),
      (error: unknown) => {
        assert.ok(error instanceof DockerfileSyntaxError && error.parsed !== undefined);
        const checks = new DockerfileChecks(
          { directives: new Map() },
          { buildArgs: new Map() },
          (finding) => told.push(finding.rule),
        );
        checks.ofUnparsed(error.parsed);
        return true;
      },
    );
    assert.deepEqual(told, [
      ...["NoEmptyContinuation", "StageNameCasing", "MaintainerDeprecated", "FromAsCasing"],
    ]);
    await assert.rejects(warningsOf(["FROM busybox", "CMD x", "ENV A=$B", "STOPSIGNAL $C"]));
  });
});
