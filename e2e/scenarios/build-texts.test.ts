/** Odd Dockerfiles: what both builders say of them, and make of them, is what dockerd 28.5 says and makes. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { makeDockerConfig, type Ran, run } from "@gantry/testkit";
import { TestEngine } from "@gantry/testkit/test-engine";

let engine: TestEngine;
let config: string;

before(async () => {
  engine = await TestEngine.start();
  config = await makeDockerConfig(path.join(engine.root, "docker"), ["buildx"]);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

type Builder = "classic" | "buildkit";

async function build(by: Builder, dockerfile: string, args: readonly string[] = []): Promise<Ran> {
  const folder = await mkdtemp(path.join(engine.root, "texts-"));
  await mkdir(path.join(folder, "dir"));
  for (const [name, text] of [
    ["Dockerfile", dockerfile],
    ["a", "of a\n"],
    ["dir/x", "of x\n"],
  ] as const)
    await writeFile(path.join(folder, name), text);
  const env = {
    ...engine.clientEnv(),
    DOCKER_CONFIG: config,
    ...(by === "classic" && { DOCKER_BUILDKIT: "0" }),
  };
  const progress = by === "classic" ? [] : ["--progress=plain"];
  return await run(["docker", "build", "--no-cache", "-t", "texts", ...progress, ...args, folder], {
    env,
  });
}

/** Wrong Dockerfiles behind `FROM busybox`, and how the last line of the error ends. Undefined: it builds. */
const failures: readonly (readonly [
  lines: string,
  classic: string | undefined,
  buildkit: string | undefined,
])[] = [
  ["COPY nope* /x/", "COPY failed: no source files were specified", undefined],
  [
    "COPY ../../a /x",
    "COPY failed: forbidden path outside the build context: ../../a ()",
    undefined,
  ],
  [
    "ADD http://127.0.0.1:1/x /x",
    'ADD failed: Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused',
    'failed to load cache key: Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused',
  ],
  [
    "FROM --platform=nope busybox",
    'failed to parse platform nope: "nope": unknown operating system or architecture: invalid argument',
    'failed to parse platform nope: "nope": unknown operating system or architecture: invalid argument',
  ],
  [
    'CMD ["a", 1]',
    "failed to parse Dockerfile: when using JSON array syntax, arrays must be comprised of strings only",
    "failed to solve: when using JSON array syntax, arrays must be comprised of strings only",
  ],
  ["WORKDIR $NOPE", "cannot normalize nothing", undefined],
  [
    "HEALTHCHECK --retries=x CMD true",
    'dockerfile parse error on line 2: strconv.ParseInt: parsing "x": invalid syntax',
    'dockerfile parse error on line 2: strconv.ParseInt: parsing "x": invalid syntax',
  ],
  [
    "ENV Y=${X?}",
    'failed to process "${X?}": X: is not allowed to be unset',
    'failed to process "${X?}": X: is not allowed to be unset',
  ],
  [
    "ENV Y=${X",
    'failed to process "${X": unsupported modifier (\uFFFD) in substitution',
    'failed to process "${X": unsupported modifier (\uFFFD) in substitution',
  ],
  [
    "COPY --chown=1 --chown=2 a /",
    "dockerfile parse error on line 2: duplicate flag specified: --chown",
    "dockerfile parse error on line 2: duplicate flag specified: --chown",
  ],
  [
    "RUN --mount=foo=bar true",
    "unexpected key 'foo' in 'foo=bar' (did you mean from?)",
    "unexpected key 'foo' in 'foo=bar' (did you mean from?)",
  ],
  ["RUN touch /f\nWORKDIR /f", "Cannot mkdir: /f is not a directory", "mkdir /f: not a directory"],
  ["RUN", "The command '/bin/sh -c' returned a non-zero code: 2", undefined],
  ["ONBUILD NOPE", undefined, undefined],
  [
    'COPY "d x" /',
    'failed to process "\\"d": unexpected end of statement while looking for matching double-quote',
    'failed to process "\\"d": unexpected end of statement while looking for matching double-quote',
  ],
];

describe("a Dockerfile that is wrong", () => {
  for (const [lines, classic, buildkit] of failures) {
    for (const [by, expected] of [
      ["classic", classic],
      ["buildkit", buildkit],
    ] as const) {
      it(`is ${expected === undefined ? "built" : "refused"} by the ${by} builder: ${lines.replace("\n", ", ")}`, async () => {
        const ran = await build(by, `FROM busybox\n${lines}\n`);
        const last = ran.stderr.trimEnd().split("\n").at(-1) ?? "";
        if (expected === undefined) assert.equal(ran.code, 0, ran.stderr);
        else assert.deepEqual([ran.code === 0, last.endsWith(expected)], [false, true], ran.stderr);
      });
    }
  }

  it("lacks a source of a step, which is blamed, and not the one that waits for it", async () => {
    const copied = await build("buildkit", "FROM busybox\nCOPY none /\nRUN false\n");
    const reference = "[0-9a-f-]{36}::[0-9a-z]{25}";
    const reason = `failed to calculate checksum of ref ${reference}: "/none": not found`;
    assert.match(
      copied.stderr,
      new RegExp(`^#\\d+ \\[2/3\\] COPY none /\\n#\\d+ ERROR: ${reason}$`, "m"),
    );
    assert.match(
      copied.stderr,
      /^Dockerfile:2\n-+\n {3}1 \| {5}FROM busybox\n {3}2 \| >>> COPY none/m,
    );
    const solved = new RegExp(
      `^ERROR: failed to solve: failed to compute cache key: ${reason}$`,
      "m",
    );
    assert.match(copied.stderr, solved);
    const mounted = await build(
      "buildkit",
      "FROM busybox\nRUN --mount=source=none,target=/n true\nRUN false\n",
    );
    assert.match(
      mounted.stderr,
      new RegExp(
        `^#\\d+ \\[stage-0 2/3\\] RUN --mount=source=none,target=/n true\\n#\\d+ ERROR: ${reason}$`,
        "m",
      ),
    );
    assert.match(mounted.stderr, /^ {3}2 \| >>> RUN --mount=source=none/m);
  });

  const steps = (shown: string): string[] =>
    shown
      .split("\n")
      .filter((line) => /^#\d+ (?:\[|CANCELED|ERROR)/.test(line))
      .map((line) => line.replace(/@sha256:\S+/, ""));

  it("is told of as far as it is understood, one thing after the other", async () => {
    const loaded = "#1 [internal] load build definition from Dockerfile";
    const named = "#2 [internal] load metadata for docker.io/library/busybox:latest";
    const ignored = "#3 [internal] load .dockerignore";
    const built = await build("buildkit", "FROM busybox\nCOPY a /x\n");
    const shown = steps(built.stderr);
    assert.deepEqual(shown.slice(0, 3), [loaded, named, ignored]);
    // An image and a context are looked at at once: the display numbers them as they end.
    assert.deepEqual(
      shown
        .slice(3, 5)
        .map((step) => step.replace(/^#\d+ /, ""))
        .sort(),
      ["[1/2] FROM docker.io/library/busybox:latest", "[internal] load build context"],
    );
    assert.deepEqual(shown.slice(5), ["#6 [2/2] COPY a /x"]);
    const wrong = await build("buildkit", "FROM busybox\nNOPE\n");
    assert.deepEqual(steps(wrong.stderr), [loaded]);
    const later = await build("buildkit", "FROM busybox\nEXPOSE x\n");
    assert.deepEqual(steps(later.stderr), [loaded, named, ignored]);
    const unnamed = await build("buildkit", "FROM busybox\nCOPY --from=9 a /\n");
    assert.deepEqual(steps(unnamed.stderr), [loaded]);
  });

  it("takes from an image what is not there, by COPY and by a mount", async () => {
    for (const [line, text] of [
      ["COPY --from=busybox /none /", "lstat /none: no such file or directory"],
      [
        "RUN --mount=from=busybox,source=none,target=/n true",
        'process "/bin/sh -c true" did not complete successfully: open /none: no such file or directory',
      ],
    ] as const) {
      const { stderr } = await build("buildkit", `FROM busybox\n${line}\n`);
      assert.ok(stderr.trimEnd().endsWith(`ERROR: failed to solve: ${text}`), stderr);
      assert.match(stderr, /^#4 FROM docker\.io\/library\/busybox:latest/m);
    }
  });

  it("shows every place that has part in a circle, and none of a graph that is refused", async () => {
    const circle = "FROM busybox AS a\nCOPY --from=b /x /\nFROM busybox AS b\nCOPY --from=a /x /\n";
    const { stderr } = await build("buildkit", circle);
    const places = stderr.split("\n").filter((line) => line.includes(">>>"));
    assert.deepEqual(places, ["   4 | >>> COPY --from=a /x /", "   2 | >>> COPY --from=b /x /"]);
    const empty = await build("buildkit", "FROM busybox\nRUN []\n");
    assert.match(empty.stderr, /failed to marshal LLB definition: arguments are required$/m);
    assert.doesNotMatch(empty.stderr, />>>/);
  });

  it("has stages in a circle, of which the first is named", async () => {
    const text = "FROM busybox AS a\nCOPY --from=b /x /\nFROM busybox AS b\nCOPY --from=a /x /\n";
    const { stderr } = await build("buildkit", text);
    assert.match(stderr, /circular dependency detected on stage: a$/m);
  });

  it("names no stage by a number as the target", async () => {
    for (const by of ["classic", "buildkit"] as const) {
      const ran = await build(by, "FROM busybox AS one\nFROM busybox\n", ["--target", "0"]);
      assert.equal(ran.code, 1);
      assert.match(ran.stderr, /target stage "0" could not be found$/m);
    }
  });

  it("names an image as none can be called, also in a stage that nobody wants", async () => {
    const wrong =
      /failed to parse stage name "BAD:x": invalid reference format: repository name \(library\/BAD\) must be lowercase$/m;
    for (const text of ["FROM BAD:x\n", "FROM busybox\nCOPY --from=BAD:x /a /b\n"]) {
      const { stderr } = await build("buildkit", `${text}FROM busybox\n`);
      assert.match(stderr, wrong, text);
    }
  });

  it("warns of what the text tells, also when the target is not there", async () => {
    const { stderr } = await build("buildkit", "FROM busybox as one\n", ["--target", "two"]);
    assert.match(stderr, /1 warning found/);
    assert.match(stderr, /target stage "two" could not be found/);
  });

  it("makes no image of nothing in the classic builder", async () => {
    const ran = await build("classic", "FROM scratch\n");
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /^No image was generated\. Is your Dockerfile empty\?$/m);
  });
});

const path0 = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Texts of an image's own history, the oldest first, and its config. */
async function made(by: Builder, dockerfile: string, args: readonly string[] = []) {
  const ran = await build(by, dockerfile, args);
  assert.equal(ran.code, 0, ran.stderr);
  const format = ["--no-trunc", "--format", "{{.CreatedBy}}"];
  const history = (await engine.docker(["history", ...format, "texts"])).split("\n").reverse();
  const inspected = await engine.docker(["inspect", "--format", "{{json .Config}}", "texts"]);
  return { history, config: JSON.parse(inspected) as unknown, shown: ran.stdout + ran.stderr };
}

describe("an image", () => {
  it("from scratch finds programs by the usual path", async () => {
    const text = 'FROM scratch\nENV A=1\nCMD ["x"]\n';
    const Env = [path0, "A=1"];
    assert.deepEqual((await made("classic", text)).config, { Env, Cmd: ["x"] });
    const { config } = await made("buildkit", text);
    assert.deepEqual(config, { Env, Cmd: ["x"], WorkingDir: "/", ArgsEscaped: true });
  });

  it("has the history that its builder writes", async () => {
    const text =
      "FROM busybox\nARG A\nENV A=env\nRUN true\nHEALTHCHECK --interval=90s --retries=2 CMD true\n" +
      "EXPOSE 80-81 53/udp\nWORKDIR /x/../y/\nWORKDIR z\nONBUILD RUN true\nHEALTHCHECK NONE\n";
    const args = ["--build-arg", "A=arg"];
    const [, ...classic] = (await made("classic", text, args)).history;
    assert.deepEqual(classic, [
      "/bin/sh -c #(nop)  ARG A",
      "/bin/sh -c #(nop)  ENV A=env",
      "/bin/sh -c true",
      "/bin/sh -c #(nop)  HEALTHCHECK &{[CMD-SHELL true] 1m30s 0s 0s 0s 2}",
      "/bin/sh -c #(nop)  EXPOSE 53/udp 80-81",
      "/bin/sh -c #(nop) WORKDIR /y",
      "/bin/sh -c #(nop) WORKDIR /y/z",
      "/bin/sh -c #(nop)  ONBUILD RUN true",
      "/bin/sh -c #(nop)  HEALTHCHECK &{[NONE] 0s 0s 0s 0s 0}",
    ]);
    const [, ...buildkit] = (await made("buildkit", text, args)).history;
    assert.deepEqual(buildkit, [
      "ARG A=arg",
      "ENV A=env",
      "RUN |1 A=env /bin/sh -c true # buildkit",
      `HEALTHCHECK &{["CMD-SHELL" "true"] "1m30s" "0s" "0s" "0s" '\\x02'}`,
      "EXPOSE [53/udp 80/tcp 81/tcp]",
      "WORKDIR /x/../y/",
      "WORKDIR /y/z",
      `HEALTHCHECK &{["NONE"] "0s" "0s" "0s" "0s" '\\x00'}`,
    ]);
  });

  it("of the classic builder has labels of the request as steps, literally, and is warned of empty lines", async () => {
    const text = "FROM busybox\nLABEL b=2\nRUN true \\\n\n ;\n";
    const labels = ["--label", "b=3", "--label", "a=$x 'y' \\z"];
    const { shown, config, history } = await made("classic", text, labels);
    const steps = shown.split("\n").filter((line) => line.startsWith("Step "));
    assert.deepEqual(steps.slice(-2), ["Step 4/5 : LABEL a=$x 'y' \\z", "Step 5/5 : LABEL b=3"]);
    const { Labels } = config as { readonly Labels: unknown };
    assert.deepEqual(Labels, { a: "$x 'y' \\z", b: "3" });
    assert.equal(history.at(-1), "/bin/sh -c #(nop)  LABEL b=3");
    assert.match(
      shown,
      /\[91m\[WARNING\]: Empty continuation line found in: RUN true {2};\n.*\[WARNING\]: Empty continuation lines will become errors in a future release\.\n/,
    );
  });

  it("can be made by a script in a heredoc that names its own shell", async () => {
    const text = "FROM busybox\nRUN <<EOF\n#!/bin/sh -e\necho $0 > /made\nEOF\n";
    const { history } = await made("buildkit", text);
    assert.equal(history.at(-1), "RUN /bin/sh -c /dev/pipes/EOF # buildkit");
    assert.equal(await engine.docker(["run", "--rm", "texts", "cat", "/made"]), "/dev/pipes/EOF");
  });

  it("takes what climbs out of the context from the context's top, with BuildKit", async () => {
    await made("buildkit", "FROM busybox\nCOPY ../../a ../dir/../dir/x /d/\n");
    assert.equal(
      await engine.docker(["run", "--rm", "texts", "cat", "/d/a", "/d/x"]),
      "of a\nof x",
    );
  });
});
