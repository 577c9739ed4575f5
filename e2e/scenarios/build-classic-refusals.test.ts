/** What the classic builder refuses, and what it leaves when a build fails or its client goes: nothing. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { mustRun } from "@gantry/testkit";
import type { TestEngine } from "@gantry/testkit/test-engine";
import Docker from "dockerode";
import { ClassicBuilds, tarOf } from "../src/classic-build.ts";
import { messageOf } from "../src/http.ts";

let builds: ClassicBuilds;
let engine: TestEngine;
before(async () => {
  builds = await ClassicBuilds.start();
  ({ engine } = builds);
});
after(async () => {
  await builds[Symbol.asyncDispose]();
});

const id = "[0-9a-f]{12}";

interface BadBuild {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  readonly text: RegExp;
}

const badBuilds: readonly BadBuild[] = [
  {
    name: "an empty Dockerfile",
    files: { Dockerfile: "" },
    text: /the Dockerfile \(Dockerfile\) cannot be empty/,
  },
  {
    name: "an unknown instruction",
    files: { Dockerfile: "FROM busybox\nRUNN true\n" },
    text: /dockerfile parse error on line 2: unknown instruction: RUNN \(did you mean RUN\?\)/,
  },
  {
    name: "an unknown flag",
    files: { Dockerfile: "FROM busybox\nCOPY --chwon=1 a b\n" },
    text: /dockerfile parse error on line 2: unknown flag: --chwon \(did you mean chown\?\)/,
  },
  {
    name: "an unknown target",
    files: { Dockerfile: "FROM busybox AS made\n" },
    args: ["--target", "mode"],
    text: /target stage "mode" could not be found/,
  },
  {
    name: "an instruction before FROM",
    files: { Dockerfile: "RUN true\n" },
    text: /Error response from daemon: no build stage in current context/,
  },
  {
    name: "a variable without a value",
    files: { Dockerfile: "FROM busybox\nENV A\n" },
    text: /Error response from daemon: failed to parse Dockerfile: ENV must have two arguments/,
  },
  {
    name: "a source that another stage does not have",
    files: { Dockerfile: "FROM busybox AS a\nFROM busybox\nCOPY --from=a /nope /\n" },
    text: /COPY failed: stat nope: file does not exist/,
  },
  {
    name: "an archive that is missing",
    files: { Dockerfile: "FROM busybox\nADD nope.tar /\n" },
    text: /ADD failed: file not found in build context or excluded by \.dockerignore: stat nope\.tar: file does not exist/,
  },
  {
    name: "a user whom nobody knows",
    files: { Dockerfile: "FROM busybox\nUSER nobodyhere\nRUN true\n" },
    text: /\nunable to find user nobodyhere: no matching entries in passwd file\n$/,
  },
  {
    name: "a program that is not there",
    files: { Dockerfile: 'FROM busybox\nRUN ["/nope"]\n' },
    text: /unable to start container process: .*exec: "\/nope": stat \/nope: no such file or directory/,
  },
  {
    name: "a missing source",
    files: { Dockerfile: "FROM busybox\nCOPY nope /\n" },
    text: /COPY failed: file not found in build context or excluded by \.dockerignore: stat nope: file does not exist/,
  },
  {
    name: "a source that climbs out",
    files: { Dockerfile: "FROM busybox\nCOPY ../../etc/hostname /\n" },
    text: /COPY failed: .*etc\/hostname/,
  },
  {
    name: "stages in a circle",
    files: {
      Dockerfile:
        "FROM busybox AS one\nCOPY --from=other-stage /x /\nFROM busybox AS other-stage\nCOPY --from=one /x /\n",
    },
    text: /\ninvalid from flag value other-stage: /,
  },
  {
    name: "a mount",
    files: { Dockerfile: "FROM busybox\nRUN --mount=type=cache,target=/c true\n" },
    text: /\nthe --mount option requires BuildKit\. Refer to https:\/\/docs\.docker\.com\/go\/buildkit\/ to learn how to build images with BuildKit enabled\n$/,
  },
  {
    name: "a network of its own",
    files: { Dockerfile: "FROM busybox\nRUN --network=none true\n" },
    text: /\nthe --network option requires BuildKit\. Refer to /,
  },
  {
    name: "a mode",
    files: { Dockerfile: "FROM busybox\nCOPY --chmod=600 Dockerfile /\n" },
    text: /\nthe --chmod option requires BuildKit\. Refer to /,
  },
  {
    name: "security, of which the classic grammar knows nothing",
    files: { Dockerfile: "FROM busybox\nRUN --security=insecure true\n" },
    text: /Error response from daemon: dockerfile parse error on line 2: unknown flag: --security\n/,
  },
  {
    name: "parents, of which it knows nothing either",
    files: { Dockerfile: "FROM busybox\nCOPY --parents Dockerfile /d/\n" },
    text: /Error response from daemon: dockerfile parse error on line 2: unknown flag: --parents\n/,
  },
  {
    name: "an owner whom nobody knows",
    files: { Dockerfile: "FROM busybox\nCOPY --chown=nobodyhere Dockerfile /\n" },
    text: /\nunable to convert uid\/gid chown string to host mapping: can't find uid for user nobodyhere: no such user: nobodyhere\n$/,
  },
  {
    name: "a group that nobody knows",
    files: { Dockerfile: "FROM busybox\nCOPY --chown=0:nogroup1 Dockerfile /\n" },
    text: /can't find gid for group nogroup1: no such group: nogroup1\n$/,
  },
  {
    name: "an unknown base",
    files: { Dockerfile: "FROM localhost:1/nobody/nothing\n" },
    text: /localhost:1|connection refused/,
  },
  {
    name: "a name that is none",
    files: { Dockerfile: "FROM busybox\n" },
    args: ["-t", "UPPER"],
    text: /invalid (argument|tag|reference)|must be lowercase/i,
  },
];

/** What is wrong with a step is told when its turn comes: the last step that is told of, and the error. */
const lateFailures: readonly (readonly [lines: string, step: string, error: string])[] = [
  [
    "COPY a b /d",
    "Step 3/3 : COPY a b /d",
    "When using COPY with more than one source file, the destination must be a directory and end with a /",
  ],
  [
    "COPY [ab] /d",
    "Step 3/3 : COPY [ab] /d",
    "When using COPY with more than one source file, the destination must be a directory and end with a /",
  ],
  [
    "COPY --chown=:3 none* /d/",
    "Step 3/3 : COPY --chown=:3 none* /d/",
    "COPY failed: no source files were specified",
  ],
  [
    "FROM --platform=$BUILDPLATFORM busybox",
    "Step 3/3 : FROM --platform=$BUILDPLATFORM busybox",
    'failed to parse platform : "" is an invalid OS component of "": OSAndVersion specifier component must match "^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.%-]*)((?:\\\\+[A-Za-z0-9_.%-]+)*)\\\\))?$": invalid argument',
  ],
  ["EXPOSE abc/xyz", "Step 3/3 : EXPOSE abc/xyz", "Invalid containerPort: abc"],
  ["EXPOSE 80/xyz", "Step 3/3 : EXPOSE 80/xyz", "Invalid proto: xyz"],
  ["STOPSIGNAL SIGNOPE", "Step 3/3 : STOPSIGNAL SIGNOPE", "invalid signal: SIGNOPE"],
  [
    "FROM busybox AS a\nFROM busybox AS a",
    "Step 3/4 : FROM busybox AS a",
    "a stage name already used",
  ],
  [
    "COPY --from=7 /x /",
    "Step 3/3 : COPY --from=7 /x /",
    "invalid from flag value 7: index out of bounds",
  ],
  ["FROM localhost:1/none", "Step 3/3 : FROM localhost:1/none", "connection refused"],
];

describe("a step that can't be done", () => {
  for (const [lines, step, error] of lateFailures) {
    it(`is told of after those before it: ${lines.replace("\n", ", ")}`, async () => {
      const folder = await builds.context({
        Dockerfile: `FROM busybox\nRUN echo first\n${lines}\n`,
        ...{ a: "a", b: "b" },
      });
      const ran = await builds.tryBuild(["--no-cache", folder]);
      assert.equal(ran.code, 1);
      const steps = ran.stdout.split("\n").filter((line) => line.startsWith("Step "));
      assert.equal(steps.at(-1), step);
      assert.match(ran.stdout, /\nfirst\n/);
      assert.ok(ran.stderr.trimEnd().endsWith(error), ran.stderr);
    });
  }

  it("has its container removed, and says so, with --force-rm", async () => {
    const folder = await builds.context({ Dockerfile: "FROM busybox\nRUN exit 3\n" });
    const removed = new RegExp(
      ` ---> Running in (${id})\\n ---> Removed intermediate container \\1\\n`,
    );
    const ran = await builds.tryBuild(["--force-rm", folder]);
    assert.equal(ran.code, 3);
    assert.match(ran.stdout, removed);
    assert.doesNotMatch((await builds.tryBuild([folder])).stdout, removed);
  });
});

describe("bad input", () => {
  for (const bad of badBuilds) {
    it(`${bad.name} is refused, and nothing is left`, async () => {
      const folder = await builds.context(bad.files);
      const before = await builds.traces();
      const ran = await builds.tryBuild([...(bad.args ?? []), folder]);
      assert.notEqual(ran.code, 0);
      assert.match(ran.stderr, bad.text);
      await builds.nothingNew(before);
    });
  }

  it("contexts and options that can't be read are refused before anything is told", async () => {
    const good = await tarOf(
      await builds.context({ Dockerfile: "FROM busybox\n", a: "x".repeat(5000) }),
    );
    const outputs = (list: unknown): string =>
      `version=2&outputs=${encodeURIComponent(JSON.stringify(list))}`;
    const cases: readonly [query: string, body: Uint8Array, status: number, message: string][] = [
      ["", good.subarray(0, 3500), 500, "unexpected EOF"],
      ["", Buffer.alloc(2048, "no tar at all "), 500, "archive/tar: invalid tar header"],
      ["", gzipSync(good).subarray(0, 60), 500, "unexpected EOF"],
      ["", new Uint8Array(), 500, "Cannot locate specified Dockerfile: Dockerfile"],
      [
        ...(["dockerfile=../../etc/passwd", good, 500] as const),
        "forbidden path outside the build context: ../../etc/passwd ()",
      ],
      [
        "t=BAD",
        good,
        500,
        "invalid reference format: repository name (library/BAD) must be lowercase",
      ],
      ["buildargs=%7B", good, 400, "error reading build args: unexpected end of JSON input"],
      [
        "ulimits=x",
        good,
        400,
        "error reading ulimit settings: invalid character 'x' looking for beginning of value",
      ],
      ["version=7", good, 400, 'invalid version "7"'],
      ["isolation=hyperv", good, 400, 'unsupported isolation: "hyperv"'],
      ["remote=foo", good, 500, "remoteURL (foo) could not be recognized as URL"],
      [outputs([{ Type: "nope" }]), good, 500, 'exporter "nope" could not be found'],
      [outputs([{ Type: "tar" }, { Type: "tar" }]), good, 500, "multiple outputs not supported"],
    ];
    for (const [query, body, status, message] of cases) {
      const answer = await builds.post(query, body);
      assert.deepEqual([answer.status, messageOf(answer)], [status, message], query);
    }
  });

  it("a result that goes nowhere makes no image", async () => {
    const good = await tarOf(
      await builds.context({ Dockerfile: "FROM busybox\nLABEL goes=nowhere\n" }),
    );
    const query = `version=2&t=nowhere&outputs=${encodeURIComponent('[{"Type":"cacheonly"}]')}`;
    const answer = await builds.post(query, good);
    assert.equal(answer.status, 200);
    assert.doesNotMatch(answer.body, /error|moby\.image\.id/);
    assert.equal(await engine.docker(["images", "-q", "nowhere"]), "");
  });

  it("a context may come by a request of its own, before the build's or after it", async () => {
    const good = await tarOf(
      await builds.context({ Dockerfile: "FROM busybox\nLABEL sent=apart\n" }),
    );
    const build = (id: string) =>
      builds.post(`version=2&remote=upload-request&buildid=${id}&t=apart:${id}`, new Uint8Array());
    const upload = (id: string) => builds.post(`version=2&buildid=upload-request:${id}`, good);
    for (const [id, order] of [
      ["one", [build, upload]],
      ["two", [upload, build]],
    ] as const) {
      const answers = await Promise.all(order.map((send) => send(id)));
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 200],
      );
      const label = ["inspect", `apart:${id}`, "--format", '{{index .Config.Labels "sent"}}'];
      assert.equal(await engine.docker(label), "apart");
    }
    const alone = await Promise.all([build("three"), upload("four")]);
    for (const answer of alone)
      assert.deepEqual([answer.status, messageOf(answer)], [500, "context deadline exceeded"]);
  });

  it("a Dockerfile behind a link reaches no file of the host, and none is deleted", async () => {
    const victim = path.join(await mkdtemp(path.join(builds.scratch, "host-")), "victim");
    await writeFile(victim, "FROM busybox\n");
    const folder = await builds.context({ ".dockerignore": "link/victim\n" });
    await symlink(path.dirname(victim), path.join(folder, "link"));
    // The name that the link has inside the context.
    const inside = path.join(folder, victim);
    await mkdir(path.dirname(inside), { recursive: true });
    await writeFile(inside, "FROM busybox\nLABEL from=inside\n");
    const answer = await builds.post("dockerfile=link/victim", await tarOf(folder));
    assert.match(answer.body, /LABEL from=inside/);
    assert.equal(await readFile(victim, "utf8"), "FROM busybox\n");
  });
  it("a pipe as Dockerfile is not waited for", async () => {
    const folder = await builds.context({});
    await mustRun(["mkfifo", path.join(folder, "Dockerfile")]);
    const answer = await builds.post("", await tarOf(folder));
    assert.equal(answer.status, 500);
  });
  it("a broken archive is refused", async () => {
    const before = await builds.traces();
    const answer = await builds.post("", gzipSync(Buffer.alloc(4096, 7)).subarray(0, 20));
    assert.ok(answer.status >= 400, answer.body);
    await builds.nothingNew(before);
  });
  it("an archive whose paths climb out writes nowhere else", async () => {
    const folder = await builds.context({ Dockerfile: "FROM busybox\nCOPY . /all\n" });
    await writeFile(path.join(folder, "x"), "x");
    const climbing = "--transform=s,^x,../../../../../../tmp/climbed,";
    await builds.post("", await tarOf(folder, [climbing, "-P", "Dockerfile", "x"]));
    await assert.rejects(readFile("/tmp/climbed"));
  });
  it("a missing Dockerfile in an archive is named", async () => {
    const folder = await builds.context({ other: "x" });
    const answer = await builds.post("", await tarOf(folder, ["other"]));
    assert.equal(answer.status, 500);
    assert.match(messageOf(answer), /Cannot locate specified Dockerfile: Dockerfile/);
  });
});

describe("a client that goes", () => {
  it("cancels its build, and nothing is left", async () => {
    const folder = await builds.context({ Dockerfile: "FROM busybox\nRUN sleep 1000\n" });
    const before = await builds.traces();
    const docker = new Docker({ socketPath: path.join(engine.runRoot, "docker.sock") });
    const stream = await docker.buildImage({ context: folder, src: ["Dockerfile"] }, { t: "gone" });
    await new Promise<void>((resolve) => {
      stream.on("data", (chunk: Buffer) => {
        if (chunk.toString().includes("Running in")) resolve();
      });
    });
    (stream as unknown as { destroy(): void }).destroy();
    await builds.nothingNew(before);
  });
});

describe("a step", () => {
  it("sees neither the engine's socket nor the host's files", async () => {
    const folder = await builds.context({
      Dockerfile: [
        "FROM busybox",
        `RUN test ! -e ${engine.root}`,
        "RUN test ! -e /run/gantry && test ! -e /var/run/docker.sock",
        "RUN ! grep -q ' /[^ ]*/scratch/' /proc/self/mountinfo",
      ].join("\n"),
    });
    await builds.build([folder]);
  });
});
