/** Docker's classic builder: the stock CLI without BuildKit, and dockerode, against `POST /build`. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import type { Ran, RunOptions } from "@gantry/testkit";
import { mustRun } from "@gantry/testkit";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";
import Docker from "dockerode";
import { ask, messageOf } from "../src/http.ts";

let engine: TestEngine;
let scratch: string;
before(async () => {
  engine = await TestEngine.start();
  scratch = await mkdtemp(path.join(tmpdir(), "build-classic-"));
});
after(async () => {
  await rm(scratch, { recursive: true, force: true });
  await engine[Symbol.asyncDispose]();
});

/** Makes a context folder of text files. */
async function context(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(path.join(scratch, "context-"));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
    await writeFile(path.join(folder, name), content);
  }
  return folder;
}

/** `docker build` without BuildKit. */
async function tryBuild(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const env = { ...engine.clientEnv(), DOCKER_BUILDKIT: "0" };
  return await engine.tryDocker(["build", ...args], { env, ...options });
}

async function build(args: readonly string[], options: RunOptions = {}): Promise<string> {
  const ran = await tryBuild(args, options);
  assert.equal(ran.code, 0, `${ran.stdout}\n${ran.stderr}`);
  return ran.stdout;
}

/** What a build may leave behind: containers of any kind, mounts, scratch files. */
async function traces(): Promise<string[]> {
  const mounts = (await readFile("/proc/self/mountinfo", "utf8"))
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((target) => target.startsWith(engine.root));
  const list = (folder: string): Promise<string[]> =>
    readdir(path.join(engine.dataRoot, folder)).catch(() => []);
  const scratchFiles = await list("build-service/scratch");
  const folders = await list("container-service/containers");
  return [...mounts, ...scratchFiles, ...folders];
}

/** What an earlier build has left to be tidied up may go meanwhile, and nothing else comes. */
async function nothingNew(before: readonly string[]): Promise<void> {
  await untilPasses(async () => {
    const added = (await traces()).filter((each) => !before.includes(each));
    assert.deepEqual(added, []);
  });
}

const id = "[0-9a-f]{12}";

describe("the stream", () => {
  it("has Docker's texts for a build, and for the same build again", async () => {
    const folder = await context({
      Dockerfile:
        "FROM busybox\nENV GREETING=hello\nRUN echo $GREETING > /greeting\nCMD cat /greeting\n",
    });
    const first = await build(["-t", "stream:one", folder]);
    assert.match(
      first,
      new RegExp(
        `^Step 1/4 : FROM busybox\n ---> ${id}\n` +
          `Step 2/4 : ENV GREETING=hello\n ---> Running in ${id}\n ---> Removed intermediate container ${id}\n ---> ${id}\n` +
          `Step 3/4 : RUN echo \\$GREETING > /greeting\n ---> Running in ${id}\n ---> Removed intermediate container ${id}\n ---> ${id}\n` +
          `Step 4/4 : CMD cat /greeting\n ---> Running in ${id}\n ---> Removed intermediate container ${id}\n ---> ${id}\n` +
          `Successfully built ${id}\nSuccessfully tagged stream:one\n$`,
        "m",
      ),
    );
    const second = await build(["-t", "stream:two", folder]);
    assert.equal(second.match(/ ---> Using cache\n/g)?.length, 3);
    assert.doesNotMatch(second, /Running in/);
    assert.equal(await engine.docker(["run", "--rm", "stream:two"]), "hello");
  });
  it("shows what a RUN prints, and its exit code as the CLI's own", async () => {
    const folder = await context({ Dockerfile: "FROM busybox\nRUN echo seen; exit 7\n" });
    const ran = await tryBuild([folder]);
    assert.equal(ran.code, 7);
    assert.match(ran.stdout, /\nseen\n/);
    assert.match(
      ran.stderr,
      /The command '\/bin\/sh -c echo seen; exit 7' returned a non-zero code: 7/,
    );
  });
  it("is the ID alone with --quiet", async () => {
    const folder = await context({ Dockerfile: "FROM busybox\nLABEL quiet=yes\n" });
    assert.match(await build(["-q", folder]), /^sha256:[0-9a-f]{64}\n$/);
  });
  it("leaves no container and no event of one", async () => {
    const folder = await context({ Dockerfile: "FROM busybox\nRUN echo unseen > /x\n" });
    const before = await engine.docker(["ps", "-aq"]);
    const since = String(Date.now() / 1000);
    await build(["--no-cache", folder]);
    assert.equal(await engine.docker(["ps", "-aq"]), before);
    const until = String(Date.now() / 1000);
    const events = await engine.docker([
      ...["events", "--since", since, "--until", until],
      ...["--filter", "type=container", "--filter", "type=network"],
    ]);
    assert.equal(events, "");
  });
});

describe("instructions", () => {
  it("set the config that inspect shows", async () => {
    const folder = await context({
      Dockerfile: [
        "FROM busybox",
        "ARG WHO=world",
        "ENV A=1 B=${WHO}",
        "LABEL one=1 two=${B}",
        "WORKDIR /work",
        "WORKDIR sub",
        "USER nobody:nobody",
        "EXPOSE 80 53/udp",
        "VOLUME /data",
        "STOPSIGNAL SIGINT",
        'SHELL ["/bin/sh", "-ec"]',
        "HEALTHCHECK --interval=5s --retries=2 CMD true",
        'ENTRYPOINT ["/bin/echo"]',
        "CMD hello",
        "ONBUILD RUN echo child",
      ].join("\n"),
    });
    await build(["-t", "config", "--build-arg", "WHO=you", "--label", "three=3", folder]);
    const [image] = JSON.parse(await engine.docker(["inspect", "config"])) as [
      { Config: Record<string, unknown> },
    ];
    const { Config } = image;
    assert.ok((Config["Env"] as string[]).includes("A=1"));
    assert.ok((Config["Env"] as string[]).includes("B=you"));
    assert.deepEqual(Config["Labels"], { one: "1", two: "you", three: "3" });
    assert.equal(Config["WorkingDir"], "/work/sub");
    assert.equal(Config["User"], "nobody:nobody");
    assert.deepEqual(Config["ExposedPorts"], { "53/udp": {}, "80/tcp": {} });
    assert.deepEqual(Config["Volumes"], { "/data": {} });
    assert.equal(Config["StopSignal"], "SIGINT");
    assert.deepEqual(Config["Shell"], ["/bin/sh", "-ec"]);
    assert.deepEqual(Config["Healthcheck"], {
      Test: ["CMD-SHELL", "true"],
      Interval: 5_000_000_000,
      Retries: 2,
    });
    assert.deepEqual(Config["Entrypoint"], ["/bin/echo"]);
    assert.deepEqual(Config["Cmd"], ["/bin/sh", "-ec", "hello"]);
    assert.deepEqual(Config["OnBuild"], ["RUN echo child"]);
    const history = await engine.docker([
      "history",
      "--no-trunc",
      "--format",
      "{{.CreatedBy}}",
      "config",
    ]);
    assert.match(history, /#\(nop\) {2}ONBUILD RUN echo child/);
    assert.match(history, /#\(nop\) WORKDIR \/work\/sub/);
  });
  it("run triggers of the base image in its children", async () => {
    const base = await context({
      Dockerfile: "FROM busybox\nONBUILD RUN echo triggered > /trigger\n",
    });
    await build(["-t", "with-trigger", base]);
    const child = await context({ Dockerfile: "FROM with-trigger\n" });
    const shown = await build(["-t", "child", child]);
    // Triggers are part of FROM: one ID, after them.
    assert.match(
      shown,
      /FROM with-trigger\n# Executing 1 build trigger\n ---> Running in .*\n ---> Removed .*\n ---> \w+\nSuccessfully/,
    );
    assert.equal(await engine.docker(["run", "--rm", "child", "cat", "/trigger"]), "triggered");
  });
  it("copy files with owners and modes, folders, patterns, links and heredocs", async () => {
    const folder = await context({
      Dockerfile: [
        "FROM busybox",
        "COPY one.txt /files/",
        "COPY --chown=nobody:nobody one.txt /owned",
        "COPY tree /tree",
        "COPY *.txt /all/",
        "COPY <<EOF /here",
        "inline",
        "EOF",
        "ADD packed.tar.gz /unpacked",
        "RUN stat -c '%U:%G %a' /owned > /stat && ls /all > /list && test -L /tree/link",
      ].join("\n"),
      "one.txt": "one\n",
      "two.txt": "two\n",
      "tree/deep/three.txt": "three\n",
      "inside/packed.txt": "packed\n",
    });
    await symlink("deep/three.txt", path.join(folder, "tree/link"));
    await mustRun(["tar", "-czf", "packed.tar.gz", "-C", "inside", "packed.txt"], { cwd: folder });
    await build(["-t", "copied", folder]);
    const shown = await engine.docker([
      ...["run", "--rm", "copied", "sh", "-c"],
      "cat /files/one.txt /stat /tree/link /list /here /unpacked/packed.txt",
    ]);
    assert.equal(shown, "one\nnobody:nobody 644\nthree\none.txt\ntwo.txt\ninline\npacked");
  });
  it("copy from stages, of which only the target is kept", async () => {
    const folder = await context({
      Dockerfile: [
        "FROM busybox AS made",
        "RUN echo made > /made",
        "FROM scratch AS empty",
        "COPY --from=made /made /made",
        "FROM busybox",
        "COPY --from=empty /made /",
        "COPY --from=busybox /etc/passwd /copied",
      ].join("\n"),
    });
    await build(["-t", "stages", folder]);
    assert.equal(await engine.docker(["run", "--rm", "stages", "cat", "/made"]), "made");
    await build(["-t", "target", "--target", "empty", folder]);
    const layers = await engine.docker(["inspect", "-f", "{{len .RootFS.Layers}}", "target"]);
    assert.equal(layers, "1");
  });
});

describe("contexts", () => {
  it("are read as archives of every compression, and as a Dockerfile alone", async () => {
    const folder = await context({ Dockerfile: "FROM busybox\nCOPY a /a\n", a: "text" });
    const tar = Buffer.from(
      (await mustRun(["sh", "-c", `tar -cf - -C ${folder} . | base64 -w0`])).stdout,
      "base64",
    );
    for (const input of [tar, gzipSync(tar)]) {
      assert.match(await build(["-"], { input }), /Successfully built/);
    }
    for (const program of ["bzip2", "xz"]) {
      const packed = await mustRun([
        "sh",
        "-c",
        `tar -cf - -C ${folder} . | ${program} | base64 -w0`,
      ]);
      const input = Buffer.from(packed.stdout, "base64");
      assert.match(await build(["-"], { input }), /Successfully built/);
    }
    assert.match(await build(["-"], { input: "FROM busybox\nRUN true\n" }), /Step 2\/2 : RUN true/);
  });
  it("leave out what .dockerignore says", async () => {
    const folder = await context({
      Dockerfile: "FROM busybox\nCOPY . /all\n",
      ".dockerignore": "secret\n*.log\n!kept.log\n",
      secret: "x",
      "a.log": "x",
      "kept.log": "x",
      plain: "x",
    });
    await build(["-t", "ignored", folder]);
    const shown = await engine.docker(["run", "--rm", "ignored", "ls", "/all"]);
    assert.equal(shown, "Dockerfile\nkept.log\nplain");
  });
});

describe("the cache", () => {
  it("is used until a file's content changes, whatever its time", async () => {
    const folder = await context({ Dockerfile: "FROM busybox\nCOPY a /a\nRUN cat /a\n", a: "1" });
    await build([folder]);
    await writeFile(path.join(folder, "a"), "1");
    assert.equal((await build([folder])).match(/Using cache/g)?.length, 2);
    await writeFile(path.join(folder, "a"), "2");
    assert.doesNotMatch(await build([folder]), /Using cache/);
    assert.doesNotMatch(await build(["--no-cache", folder]), /Using cache/);
  });
  it("survives a kill of the builder and of image-service", async () => {
    const folder = await context({ Dockerfile: "FROM busybox\nRUN date +%N > /time\n" });
    await build(["-t", "before-kill", folder]);
    await engine.kill9("build-service");
    await engine.kill9("image-service");
    await untilPasses(async () => {
      assert.match(await build(["-t", "after-kill", folder]), /Using cache/);
    });
    const time = (image: string) => engine.docker(["run", "--rm", image, "cat", "/time"]);
    assert.equal(await time("before-kill"), await time("after-kill"));
  });
  it("is shown by df and emptied by prune", async () => {
    const folder = await context({ Dockerfile: "FROM busybox\nRUN echo filled > /filled\n" });
    await build([folder]);
    const count = async (): Promise<number> =>
      Number(
        (await engine.docker(["system", "df", "--format", "{{.Type}} {{.TotalCount}}"])).split(
          "Build Cache ",
        )[1],
      );
    assert.ok((await count()) > 0);
    await engine.docker(["builder", "prune", "-af"]);
    assert.equal(await count(), 0);
    assert.match(await build([folder]), /Running in/);
  });
});

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

describe("a pruned cache", () => {
  it("is told of by an event, with what was reclaimed", async () => {
    await build([await context({ Dockerfile: "FROM busybox\nRUN echo pruned > /pruned\n" })]);
    await engine.docker(["image", "prune", "--force"]);
    const since = String(Date.now() / 1000);
    const answer = await ask(engine, { method: "POST", path: "/build/prune?all=1" });
    const { SpaceReclaimed } = JSON.parse(answer.body) as { readonly SpaceReclaimed: number };
    assert.ok(SpaceReclaimed > 0, answer.body);
    const until = String(Date.now() / 1000);
    const filter = ["--filter", "type=builder", "--format", "{{json .}}"];
    const events = await engine.docker(["events", "--since", since, "--until", until, ...filter]);
    const { Type, Action, Actor } = JSON.parse(events) as Readonly<Record<string, unknown>>;
    assert.deepEqual(
      [Type, Action, Actor],
      ["builder", "prune", { ID: "", Attributes: { reclaimed: String(SpaceReclaimed) } }],
    );
  });
});

/** What is wrong with a step is told when its turn comes: the last step that is told of, and the error. */
const lateFailures: readonly (readonly [lines: string, step: string, error: string])[] = [
  [
    "COPY a b /d",
    "Step 3/3 : COPY a b /d",
    "When using COPY with more than one source file, the destination must be a directory and end with a /",
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
      const folder = await context({
        Dockerfile: `FROM busybox\nRUN echo first\n${lines}\n`,
        ...{ a: "a", b: "b" },
      });
      const ran = await tryBuild(["--no-cache", folder]);
      assert.equal(ran.code, 1);
      const steps = ran.stdout.split("\n").filter((line) => line.startsWith("Step "));
      assert.equal(steps.at(-1), step);
      assert.match(ran.stdout, /\nfirst\n/);
      assert.ok(ran.stderr.trimEnd().endsWith(error), ran.stderr);
    });
  }

  it("has its container removed, and says so, with --force-rm", async () => {
    const folder = await context({ Dockerfile: "FROM busybox\nRUN exit 3\n" });
    const removed = new RegExp(
      ` ---> Running in (${id})\\n ---> Removed intermediate container \\1\\n`,
    );
    const ran = await tryBuild(["--force-rm", folder]);
    assert.equal(ran.code, 3);
    assert.match(ran.stdout, removed);
    assert.doesNotMatch((await tryBuild([folder])).stdout, removed);
  });
});

describe("build arguments", () => {
  it("that no ARG declares are warned of; ARGs before the first FROM are steps", async () => {
    const folder = await context({ Dockerfile: "ARG Z\nFROM busybox\nARG A=1\nRUN echo $A\n" });
    const args = ["A=2", "C=3", "B=3", "Z=1", "http_proxy=x"].flatMap((each) => [
      "--build-arg",
      each,
    ]);
    const shown = await build([...args, folder]);
    assert.match(shown, /^Step 1\/4 : ARG Z\nStep 2\/4 : FROM busybox\n/m);
    const end = new RegExp(
      `\\n\\[Warning\\] One or more build-args \\[B C\\] were not consumed\\nSuccessfully built ${id}\\n`,
    );
    assert.match(shown, end);
  });
});

describe("bad input", () => {
  for (const bad of badBuilds) {
    it(`${bad.name} is refused, and nothing is left`, async () => {
      const folder = await context(bad.files);
      const before = await traces();
      const ran = await tryBuild([...(bad.args ?? []), folder]);
      assert.notEqual(ran.code, 0);
      assert.match(ran.stderr, bad.text);
      await nothingNew(before);
    });
  }
  const tarOf = async (folder: string): Promise<Buffer> => {
    const tar = await mustRun(["sh", "-c", `tar -cf - -C ${folder} . | base64 -w0`]);
    return Buffer.from(tar.stdout, "base64");
  };
  const post = async (query: string, body: Uint8Array) =>
    await ask(engine, {
      ...{ method: "POST", path: `/build?${query}`, body },
      headers: { "content-type": "application/x-tar" },
    });

  it("contexts and options that can't be read are refused before anything is told", async () => {
    const good = await tarOf(await context({ Dockerfile: "FROM busybox\n", a: "x".repeat(5000) }));
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
      const answer = await post(query, body);
      assert.deepEqual([answer.status, messageOf(answer)], [status, message], query);
    }
  });

  it("a result that goes nowhere makes no image", async () => {
    const good = await tarOf(await context({ Dockerfile: "FROM busybox\nLABEL goes=nowhere\n" }));
    const query = `version=2&t=nowhere&outputs=${encodeURIComponent('[{"Type":"cacheonly"}]')}`;
    const answer = await post(query, good);
    assert.equal(answer.status, 200);
    assert.doesNotMatch(answer.body, /error|moby\.image\.id/);
    assert.equal(await engine.docker(["images", "-q", "nowhere"]), "");
  });

  it("a context may come by a request of its own, before the build's or after it", async () => {
    const good = await tarOf(await context({ Dockerfile: "FROM busybox\nLABEL sent=apart\n" }));
    const build = (id: string) =>
      post(`version=2&remote=upload-request&buildid=${id}&t=apart:${id}`, new Uint8Array());
    const upload = (id: string) => post(`version=2&buildid=upload-request:${id}`, good);
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
    const victim = path.join(await mkdtemp(path.join(scratch, "host-")), "victim");
    await writeFile(victim, "FROM busybox\n");
    const folder = await context({ ".dockerignore": "link/victim\n" });
    await symlink(path.dirname(victim), path.join(folder, "link"));
    // The name that the link has inside the context.
    const inside = path.join(folder, victim);
    await mkdir(path.dirname(inside), { recursive: true });
    await writeFile(inside, "FROM busybox\nLABEL from=inside\n");
    const tar = await mustRun(["sh", "-c", `tar -cf - -C ${folder} . | base64 -w0`]);
    const answer = await ask(engine, {
      ...{ method: "POST", path: "/build?dockerfile=link/victim" },
      headers: { "content-type": "application/x-tar" },
      body: Buffer.from(tar.stdout, "base64"),
    });
    assert.match(answer.body, /LABEL from=inside/);
    assert.equal(await readFile(victim, "utf8"), "FROM busybox\n");
  });
  it("a pipe as Dockerfile is not waited for", async () => {
    const folder = await context({});
    await mustRun(["mkfifo", path.join(folder, "Dockerfile")]);
    const tar = await mustRun(["sh", "-c", `tar -cf - -C ${folder} . | base64 -w0`]);
    const answer = await ask(engine, {
      ...{ method: "POST", path: "/build" },
      headers: { "content-type": "application/x-tar" },
      body: Buffer.from(tar.stdout, "base64"),
    });
    assert.equal(answer.status, 500);
  });
  it("a broken archive is refused", async () => {
    const before = await traces();
    const answer = await ask(engine, {
      ...{ method: "POST", path: "/build" },
      headers: { "content-type": "application/x-tar" },
      body: gzipSync(Buffer.alloc(4096, 7)).subarray(0, 20),
    });
    assert.ok(answer.status >= 400, answer.body);
    await nothingNew(before);
  });
  it("an archive whose paths climb out writes nowhere else", async () => {
    const folder = await context({ Dockerfile: "FROM busybox\nCOPY . /all\n" });
    const script = `tar -cf - -C ${folder} --transform='s,^x,../../../../../../tmp/climbed,' -P Dockerfile x | base64 -w0`;
    await writeFile(path.join(folder, "x"), "x");
    const tar = await mustRun(["sh", "-c", script]);
    await ask(engine, {
      ...{ method: "POST", path: "/build" },
      headers: { "content-type": "application/x-tar" },
      body: Buffer.from(tar.stdout, "base64"),
    });
    await assert.rejects(readFile("/tmp/climbed"));
  });
  it("a missing Dockerfile in an archive is named", async () => {
    const folder = await context({ other: "x" });
    const tar = await mustRun(["sh", "-c", `tar -cf - -C ${folder} other | base64 -w0`]);
    const answer = await ask(engine, {
      ...{ method: "POST", path: "/build" },
      headers: { "content-type": "application/x-tar" },
      body: Buffer.from(tar.stdout, "base64"),
    });
    assert.equal(answer.status, 500);
    assert.match(messageOf(answer), /Cannot locate specified Dockerfile: Dockerfile/);
  });
});

describe("a client that goes", () => {
  it("cancels its build, and nothing is left", async () => {
    const folder = await context({ Dockerfile: "FROM busybox\nRUN sleep 1000\n" });
    const before = await traces();
    const docker = new Docker({ socketPath: path.join(engine.runRoot, "docker.sock") });
    const stream = await docker.buildImage({ context: folder, src: ["Dockerfile"] }, { t: "gone" });
    await new Promise<void>((resolve) => {
      stream.on("data", (chunk: Buffer) => {
        if (chunk.toString().includes("Running in")) resolve();
      });
    });
    (stream as unknown as { destroy(): void }).destroy();
    await nothingNew(before);
  });
});

describe("dockerode", () => {
  it("builds, and finds the ID in the stream", async () => {
    const folder = await context({ Dockerfile: "FROM busybox\nLABEL by=dockerode\n" });
    const docker = new Docker({ socketPath: path.join(engine.runRoot, "docker.sock") });
    const stream = await docker.buildImage(
      { context: folder, src: ["Dockerfile"] },
      { t: "rode:1" },
    );
    const lines: { aux?: { ID: string } }[] = await new Promise((resolve, reject) => {
      docker.modem.followProgress(stream, (error, output) => {
        if (error) reject(error);
        else resolve(output as { aux?: { ID: string } }[]);
      });
    });
    const built = lines.find((line) => line.aux !== undefined)?.aux?.ID;
    assert.equal((await docker.getImage("rode:1").inspect()).Id, built);
  });
});

describe("a step", () => {
  it("sees neither the engine's socket nor the host's files", async () => {
    const folder = await context({
      Dockerfile: [
        "FROM busybox",
        `RUN test ! -e ${engine.root}`,
        "RUN test ! -e /run/gantry && test ! -e /var/run/docker.sock",
        "RUN ! grep -q ' /[^ ]*/scratch/' /proc/self/mountinfo",
      ].join("\n"),
    });
    await build([folder]);
  });
});
