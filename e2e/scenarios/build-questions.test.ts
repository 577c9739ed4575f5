/** What clients ask of a Dockerfile beside building it: buildx 0.13's `--print`. The texts are dockerd 28.5's, byte by byte. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { run } from "@gantry/testkit";
import { useBuildxBed } from "../src/buildx-bed.ts";

const bed = useBuildxBed({
  client: { BUILDX_EXPERIMENTAL: "1" },
  prepare: async (engine) => {
    folder = path.join(engine.root, "context");
    await mkdir(folder);
  },
});
let folder: string;

const dockerfile = `# TARGETARCH is the arch
ARG TARGETARCH
ARG ver=1.0
ARG full=\${ver}-x
FROM busybox AS two
# cc is c
ARG cc
ARG ver
# another
# one is a stage
FROM --platform=linux/amd64 busybox AS One
ARG TARGETOS
ARG TARGETARCH
ARG a=1 b=\$full
RUN --mount=type=secret,target=/t,env=FOO true
RUN --mount=type=secret,id=tok,required --mount=type=ssh true
FROM one AS last
ARG a=2
ARG full
copy --from=two /a /b
`;

/** Asks, and gives what is printed. */
async function ask(
  question: string,
  args: readonly string[] = [],
  text = dockerfile,
): Promise<string> {
  await writeFile(path.join(folder, "Dockerfile"), text);
  const command = ["docker", "buildx", "build", `--print=${question}`, ...args, "."];
  const ran = await run(command, { cwd: folder, env: bed.env, timeoutMs: 120_000 });
  assert.equal(ran.code, 0, ran.stderr);
  return ran.stdout;
}

const at = (line: number): object => ({ ranges: [{ start: { line }, end: { line } }] });
const sources = [Buffer.from(dockerfile).toString("base64")];

describe("docker buildx build --print", () => {
  it("outlines what a target takes from the client, with the stages that it is made of", async () => {
    assert.equal(
      await ask("outline", ["--target", "one"]),
      "TARGET:      one\nDESCRIPTION: is a stage\n\n" +
        "BUILD ARG    VALUE   DESCRIPTION\nTARGETARCH           is the arch\na            1       \nb                    \n\n" +
        "SECRET   REQUIRED\nt        \ntok      true\n\nSSH       REQUIRED\ndefault   \n\n",
    );
    const json = await ask("outline,format=json", ["--build-arg", "ver=7"]);
    assert.deepEqual(JSON.parse(json), {
      name: "last",
      args: [
        { name: "TARGETARCH", description: "is the arch", location: at(2) },
        { name: "ver", value: "7", location: at(3) },
        { name: "full", value: "7-x", location: at(4) },
        { name: "cc", description: "is c", location: at(7) },
        { name: "b", location: at(14) },
        { name: "a", value: "2", location: at(18) },
      ],
      secrets: [
        { name: "t", location: at(15) },
        { name: "tok", required: true, location: at(16) },
      ],
      ssh: [{ name: "default", location: at(16) }],
      sources,
    });
  });

  it("lists targets", async () => {
    assert.equal(
      await ask("targets"),
      "TARGET         DESCRIPTION\ntwo            \none            is a stage\nlast (default) \n",
    );
    const json = await ask(
      "targets,format=json",
      [],
      "FROM --platform=linux/amd64 $X\nFROM scratch\n",
    );
    const text = Buffer.from("FROM --platform=linux/amd64 $X\nFROM scratch\n");
    assert.deepEqual(JSON.parse(json), {
      targets: [
        { base: "$X", platform: "linux/amd64", location: at(1) },
        { default: true, base: "scratch", location: at(2) },
      ],
      sources: [text.toString("base64")],
    });
  });

  it("checks a Dockerfile, all stages of it or a target's", async () => {
    const first =
      "\nWARNING: StageNameCasing - https://docs.docker.com/go/dockerfile/rule/stage-name-casing/\n" +
      "Stage name 'One' should be lowercase\nDockerfile:11\n--------------------\n" +
      "   9 |     # another\n  10 |     # one is a stage\n  11 | >>> FROM --platform=linux/amd64 busybox AS One\n" +
      "  12 |     ARG TARGETOS\n  13 |     ARG TARGETARCH\n--------------------\n";
    const whole = await ask("lint");
    assert.ok(whole.startsWith(first), whole);
    const rules = [...whole.matchAll(/^WARNING: (\w+) - .*\n.*\nDockerfile:(\d+)$/gm)];
    assert.deepEqual(
      rules.map(([, rule, line]) => `${String(rule)} ${String(line)}`),
      [
        "StageNameCasing 11",
        "FromPlatformFlagConstDisallowed 11",
        "UndefinedVar 14",
        "ConsistentInstructionCasing 20",
      ],
    );
    assert.doesNotMatch(await ask("lint", ["--target", "two"]), /UndefinedVar/);
    assert.equal(await ask("lint", [], "FROM busybox\nRUN true\n"), "");
  });

  it("lists the questions that are answered, and refuses others", async () => {
    assert.equal(
      await ask("subrequests.describe"),
      "NAME                 VERSION DESCRIPTION\n" +
        "outline              1.0.0   List all parameters current build target supports\n" +
        "targets              1.0.0   List all targets current build supports\n" +
        "subrequests.describe 1.0.0   List available subrequest types\n",
    );
    const ran = await run(["docker", "buildx", "build", "--print=nonsense", "."], {
      cwd: folder,
      env: bed.env,
    });
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /unsupported request frontend\.nonsense/);
  });

  it("builds and leaves nothing: no image, no record of the cache", async () => {
    const images = await bed.engine.docker(["images", "-aq"]);
    for (const question of ["outline", "targets", "lint"]) await ask(question);
    assert.equal(await bed.engine.docker(["images", "-aq"]), images);
    const { stdout } = await run(["docker", "buildx", "du"], { env: bed.env });
    assert.match(stdout, /^Total:\s+0B$/m);
  });

  it("tells why a Dockerfile can't be planned", async () => {
    await writeFile(path.join(folder, "Dockerfile"), "FROM busybox\nRUNX foo\n");
    const ran = await run(["docker", "buildx", "build", "--print=outline", "."], {
      cwd: folder,
      env: bed.env,
    });
    assert.equal(ran.code, 1);
    assert.match(
      ran.stderr,
      /dockerfile parse error on line 2: unknown instruction: RUNX \(did you mean RUN\?\)/,
    );
  });
});
