/** Builds by the stock CLI with buildx 0.13 and compose 2.26. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { eventually, run } from "@gantry/testkit";
import { startRegistry } from "@gantry/testkit/registry";
import { useBuildxBed } from "../src/buildx-bed.ts";

const bed = useBuildxBed({ compose: true });

type Files = Readonly<Record<string, string>>;

/** Writes files into a folder of the test. */
async function folderOf(name: string, files: Files): Promise<string> {
  const folder = path.join(bed.engine.root, "contexts", name);
  for (const [file, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
    await writeFile(path.join(folder, file), content);
  }
  return folder;
}

const { docker, build } = bed;

/** Builds what must fail, and gives what buildx shows. */
async function failingBuild(folder: string, args: readonly string[] = []): Promise<string> {
  const ran = await bed.tryBuild(folder, args);
  assert.equal(ran.code, 1, ran.stderr);
  return ran.stderr;
}

const output = async (image: string, command: readonly string[] = []): Promise<string> =>
  await bed.engine.docker(["run", "--rm", image, ...command]);

describe("docker build with buildx", () => {
  it("builds an image that runs, and shows its steps", async () => {
    const folder = await folderOf("plain", {
      Dockerfile:
        "FROM busybox AS made\nARG WORD=hi\nRUN echo $WORD > /word && echo seen\n" +
        'FROM busybox\nCOPY --from=made /word /word\nCOPY greeting /\nENV A=b\nCMD ["cat", "/word", "/greeting"]\n',
      greeting: "hello\n",
    });
    const shown = await build(folder, ["-t", "plain", "--build-arg", "WORD=there"]);
    assert.match(shown, /#\d+ \[internal\] load build definition from Dockerfile\n/);
    assert.match(
      shown,
      /#\d+ \[internal\] load metadata for docker\.io\/library\/busybox:latest\n/,
    );
    assert.match(
      shown,
      /#\d+ \[made 2\/2\] RUN echo there > \/word && echo seen\n#\d+ [\d.]+ seen\n/,
    );
    assert.match(shown, /#\d+ \[stage-1 3\/3\] COPY greeting \/\n#\d+ DONE [\d.]+s\n/);
    assert.match(shown, /#\d+ naming to docker\.io\/library\/plain:latest/);
    assert.equal(await output("plain"), "there\nhello");
  });

  it("finds everything cached the second time", async () => {
    const folder = await folderOf("plain", {});
    const shown = await build(folder, ["-t", "plain", "--build-arg", "WORD=there"]);
    const cached = shown.match(/^#\d+ CACHED$/gm) ?? [];
    assert.ok(cached.length >= 3, shown);
    assert.doesNotMatch(shown, /^#\d+ [\d.]+ seen$/m);
  });

  it("takes only what has changed of a context", async () => {
    const folder = await folderOf("incremental", {
      Dockerfile: "FROM busybox\nCOPY . /context/\n",
      big: "x".repeat(2_000_000),
      small: "1",
    });
    await build(folder, ["-t", "incremental"]);
    await folderOf("incremental", { small: "changed" });
    const shown = await build(folder, ["-t", "incremental"]);
    assert.match(shown, /transferring context: \d{1,4}B/);
    assert.equal(await output("incremental", ["cat", "/context/small"]), "changed");
    assert.equal(await output("incremental", ["sh", "-c", "wc -c </context/big"]), "2000000");
  });

  it("attaches provenance, so that the image is an index", async () => {
    const folder = await folderOf("plain", {});
    const idFile = path.join(bed.engine.root, "iid");
    await build(folder, ["-t", "attested", "--iidfile", idFile]);
    const id = await readFile(idFile, "utf8");
    const image = JSON.parse(
      await bed.engine.docker(["inspect", "attested", "--format", "{{json .}}"]),
    ) as {
      Id: string;
      Descriptor: { mediaType: string };
    };
    assert.equal(image.Id, id);
    assert.match(image.Descriptor.mediaType, /image\.index/);
  });

  it("keeps secrets out of layers, history and logs", async () => {
    const word = "never-to-be-seen-4711";
    const folder = await folderOf("secret", {
      Dockerfile:
        "FROM busybox\nRUN --mount=type=secret,id=word wc -c < /run/secrets/word > /length\n" +
        "RUN --mount=type=secret,id=word,env=WORD echo ${#WORD} >> /length\nRUN ls /run/secrets || true\n",
    });
    await writeFile(path.join(bed.engine.root, "word"), word);
    const secret = `id=word,src=${path.join(bed.engine.root, "word")}`;
    const shown = await build(folder, ["-t", "secret", "--secret", secret]);
    assert.equal(
      await output("secret", ["cat", "/length"]),
      `${String(word.length)}\n${String(word.length)}`,
    );
    const saved = await run(
      ["docker", "save", "secret", "-o", path.join(bed.engine.root, "saved.tar")],
      {
        env: bed.env,
      },
    );
    assert.equal(saved.code, 0, saved.stderr);
    const history = await bed.engine.docker(["history", "--no-trunc", "secret"]);
    const archive = await readFile(path.join(bed.engine.root, "saved.tar"));
    for (const place of [shown, history, archive.toString("latin1")]) {
      assert.ok(!place.includes(word));
    }
    const services = ["build-service", "container-service", "image-service", "log"];
    const folders = services.map((name) => path.join(bed.engine.dataRoot, name));
    const found = await run(["grep", "-rlF", word, ...folders]);
    assert.equal(found.stdout, "");
  });

  it("gives results as a folder and as archives", async () => {
    const folder = await folderOf("outputs", {
      Dockerfile: "FROM scratch\nCOPY a /dir/a\nCOPY --chmod=751 b /b\n",
      a: "aa",
      b: "bb",
    });
    await build(folder, ["-o", "type=local,dest=out"]);
    assert.equal(await readFile(path.join(folder, "out/dir/a"), "utf8"), "aa");
    assert.equal((await stat(path.join(folder, "out/b"))).mode & 0o777, 0o751);
    await rm(path.join(folder, "out"), { recursive: true });
    await build(folder, ["-o", "type=tar,dest=out.tar"]);
    const names = await run(["tar", "tf", path.join(folder, "out.tar")]);
    assert.deepEqual(names.stdout.trim().split("\n").sort(), ["b", "dir/", "dir/a"]);
    await build(folder, ["-t", "from-archive", "-o", "type=oci,dest=oci.tar"]);
    await bed.engine.docker(["load", "-i", path.join(folder, "oci.tar")]);
    await bed.engine.docker(["inspect", "from-archive"]);
  });

  it("pushes what it built", async () => {
    await using registry = await startRegistry({ dir: path.join(bed.engine.root, "registry") });
    const folder = await folderOf("pushed", { Dockerfile: "FROM scratch\nCOPY a /\n", a: "a" });
    const name = `${registry.host}/pushed:1`;
    await build(folder, ["-t", name, "--push"]);
    const image = JSON.parse(
      await bed.engine.docker(["inspect", name, "--format", "{{json .}}"]),
    ) as {
      Id: string;
    };
    await bed.engine.docker(["rmi", name]);
    await bed.engine.docker(["pull", name]);
    assert.equal(await bed.engine.docker(["inspect", name, "--format", "{{.Id}}"]), image.Id);
  });

  it("builds for several platforms at once", async () => {
    const folder = await folderOf("platforms", {
      Dockerfile: "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n",
      amd64: "amd64",
      arm64: "arm64",
    });
    const platforms = ["--platform", "linux/amd64,linux/arm64"];
    await build(folder, ["-t", "platforms", ...platforms]);
    await build(folder, [...platforms, "-o", "type=local,dest=out"]);
    assert.equal(await readFile(path.join(folder, "out/linux_amd64/arch"), "utf8"), "amd64");
    assert.equal(await readFile(path.join(folder, "out/linux_arm64/arch"), "utf8"), "arm64");
    const shown = await bed.engine.docker(["image", "ls", "--tree"]);
    assert.match(shown, /linux\/arm64/);
  });

  it("shows what went wrong where, and exits with 1", async () => {
    const failing = await folderOf("failing", {
      Dockerfile: "FROM busybox\nRUN echo before\nRUN echo to-the-log; exit 7\n",
    });
    const shown = await failingBuild(failing);
    assert.match(
      shown,
      /------\n > \[3\/3\] RUN echo to-the-log; exit 7:\n[\d.]+ to-the-log\n------\n/,
    );
    assert.match(shown, /Dockerfile:3\n-{20}\n {3}1 \| {5}FROM busybox\n/);
    assert.match(shown, / {3}3 \| >>> RUN echo to-the-log; exit 7\n/);
    assert.match(
      shown,
      /ERROR: failed to solve: process "\/bin\/sh -c echo to-the-log; exit 7" did not complete successfully: exit code: 7\n$/,
    );
  });

  it("shows a line whole that a program writes in pieces", async () => {
    const missing = await folderOf("missing", { Dockerfile: "FROM busybox\nRUN no-such\n" });
    const shown = await failingBuild(missing);
    assert.match(
      shown,
      /------\n > \[2\/2\] RUN no-such:\n[\d.]+ \/bin\/sh: no-such: not found\n------\n/,
    );
  });

  it("shows what the checks of Dockerfiles find, and fails by it when that is wanted", async () => {
    const lines = "FROM busybox AS A\nENV X=$NOPE\nCMD echo hi\n";
    const shown = await build(await folderOf("checked", { Dockerfile: lines }));
    const found = shown.slice(shown.indexOf("warnings found"));
    assert.match(found, / - StageNameCasing: Stage name 'A' should be lowercase \(line 1\)$/m);
    assert.match(found, /^ - UndefinedVar: Usage of undefined variable '\$NOPE' \(line 2\)$/m);
    assert.match(found, /^ - JSONArgsRecommended: .* \(line 3\)$/m);
    const strict = await folderOf("strict", { Dockerfile: `# check=error=true\n${lines}` });
    assert.match(
      await failingBuild(strict),
      /failed to solve: lint violation found for rules: StageNameCasing, UndefinedVar, JSONArgsRecommended\n/,
    );
    const skipping = ["--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all"];
    assert.doesNotMatch(await build(strict, skipping), /warnings? found/);
  });

  it("refuses bad input in BuildKit's words", async () => {
    const cases: readonly (readonly [
      name: string,
      files: Files,
      args: readonly string[],
      words: RegExp,
    ])[] = [
      [
        "no-file",
        { x: "" },
        [],
        /failed to read dockerfile: open Dockerfile: no such file or directory/,
      ],
      ["empty", { Dockerfile: "" }, [], /the Dockerfile cannot be empty/],
      [
        "unknown",
        { Dockerfile: "FROM busybox\nRUNN x\n" },
        [],
        /unknown instruction: RUNN \(did you mean RUN\?\)/,
      ],
      [
        "no-stage",
        { Dockerfile: "FROM busybox\n" },
        ["--target", "x"],
        /target stage "x" could not be found/,
      ],
      ["no-source", { Dockerfile: "FROM busybox\nCOPY none /\n" }, [], /"\/none": not found/],
      [
        "no-user",
        { Dockerfile: "FROM busybox\nUSER nobodyhere\nRUN true\n" },
        [],
        /process "\/bin\/sh -c true" did not complete successfully: unable to find user nobodyhere: no matching entries in passwd file/,
      ],
      [
        "no-program",
        { Dockerfile: 'FROM busybox\nRUN ["/nope"]\n' },
        [],
        /runc run failed: unable to start container process: exec: "\/nope": stat \/nope: no such file or directory\n[^]*failed to solve: process "\/nope" did not complete successfully: exit code: 1\n/,
      ],
      [
        "no-shell",
        { Dockerfile: "FROM scratch\nRUN true\n" },
        [],
        /exec: "\/bin\/sh": stat \/bin\/sh: no such file or directory\n[^]*process "\/bin\/sh -c true" did not complete successfully: exit code: 1\n/,
      ],
      [
        "no-base",
        { Dockerfile: "FROM busybox\nCOPY --from=localhost:1\/nope /x /\n" },
        [],
        / {3}2 \| >>> COPY --from[^]*: localhost:1\/nope: failed to resolve source metadata for localhost:1\/nope:latest: /,
      ],
      [
        "circle",
        { Dockerfile: "FROM busybox AS a\nCOPY --from=a /a /b\n" },
        [],
        / {3}2 \| >>> COPY[^]*: circular dependency detected on stage: a/,
      ],
      [
        "signal",
        { Dockerfile: "FROM busybox\nSTOPSIGNAL NOPE\n" },
        [],
        /failed to solve: invalid signal: NOPE/,
      ],
      [
        "word",
        { Dockerfile: "FROM busybox\nENV A=${B*x}\n" },
        [],
        /failed to solve: failed to process "\$\{B\*x\}": unsupported modifier \(\*\) in substitution/,
      ],
      [
        "no-arguments",
        { Dockerfile: "FROM busybox\nCOPY\n" },
        [],
        /COPY requires at least two arguments, but only one was provided\. Destination could not be determined/,
      ],
      [
        "unit",
        { Dockerfile: "FROM busybox\nHEALTHCHECK --interval=1x CMD true\n" },
        [],
        /dockerfile parse error on line 2: time: unknown unit "x" in duration "1x"/,
      ],
      [
        "protocol",
        { Dockerfile: "FROM busybox\nEXPOSE abc/xyz\n" },
        [],
        /failed to solve: invalid port: "abc\/xyz": invalid proto: xyz/,
      ],
      [
        "file-for-folder",
        { Dockerfile: "FROM busybox\nCOPY a dir /d\n", a: "a", "dir/x": "x" },
        [],
        /failed to solve: cannot copy to non-directory: \/d/,
      ],
      ["syntax", { Dockerfile: "# syntax=example.org/other\nFROM busybox\n" }, [], /frontend/],
    ];
    for (const [name, files, args, words] of cases) {
      const shown = await failingBuild(await folderOf(`bad-${name}`, files), args);
      assert.match(shown, words, name);
    }
  });

  it("mounts caches, binds and temporary files", async () => {
    const folder = await folderOf("mounts", {
      Dockerfile: [
        "FROM busybox",
        "ARG ROUND",
        "RUN --mount=type=cache,target=/kept echo $ROUND >> /kept/rounds && cp /kept/rounds /rounds",
        "RUN --mount=type=bind,source=given.txt,target=/given cat /given > /seen",
        "RUN --mount=type=tmpfs,target=/gone touch /gone/file",
        "RUN cat /rounds /seen > /all; ls -A /kept /gone >> /all 2>&1; true",
      ].join("\n"),
      "given.txt": "given\n",
    });
    await build(folder, ["-t", "mounted", "--build-arg", "ROUND=1"]);
    await build(folder, ["-t", "mounted", "--build-arg", "ROUND=2"]);
    const seen = await output("mounted", ["cat", "/all"]);
    assert.match(seen, /^1\n2\ngiven\n/);
    assert.doesNotMatch(seen, /^(?:rounds|file)$/m);
  });

  it("copies several sources to one place one after the other, and to root for unknown owners", async () => {
    const folder = await folderOf("places", {
      Dockerfile: [
        "FROM busybox",
        "COPY a b /file",
        "COPY dir a /folder",
        "COPY --chown=nobodyhere a /mine",
        "COPY --chown=7:nogrouphere a /group",
        "RUN cat /file > /all; ls /folder >> /all; stat -c '%u:%g' /mine /group >> /all",
      ].join("\n"),
      ...{ a: "of a\n", b: "of b\n", "dir/x": "x" },
    });
    await build(folder, ["-t", "places"]);
    assert.equal(await output("places", ["cat", "/all"]), "of b\na\nx\n0:0\n7:7");
  });

  it("ends a cancelled build and leaves nothing of it", async () => {
    const folder = await folderOf("cancelled", {
      Dockerfile: "FROM busybox\nRUN echo running; sleep 1047\n",
    });
    const before = await bed.engine.docker(["ps", "-aq"]);
    const child = spawn("docker", ["build", "--progress=plain", "."], {
      cwd: folder,
      env: bed.env,
    });
    let shown = "";
    child.stderr.on("data", (chunk: Buffer) => (shown += chunk.toString()));
    await eventually(() => {
      assert.match(shown, /running\n/);
      return true;
    });
    child.kill("SIGINT");
    await once(child, "exit");
    assert.match(shown, /CANCELED/);
    await eventually(async () => {
      assert.equal(await bed.engine.docker(["ps", "-aq"]), before);
      const sleeping = await run(["pgrep", "-fx", "sleep 1047"]);
      assert.equal(sleeping.stdout, "");
      return true;
    });
  });

  it("shows and prunes its cache", async () => {
    const shown = await docker("/", ["buildx", "du"]);
    assert.match(shown.stdout, /Reclaimable:\s+[1-9]/);
    const pruned = await docker("/", ["builder", "prune", "--all", "--force"]);
    assert.equal(pruned.code, 0, pruned.stderr);
    assert.match(pruned.stdout, /Total(?: reclaimed space)?:\s+[1-9]/);
  });
});

describe("bake and compose", () => {
  it("builds targets one from another", async () => {
    const folder = await folderOf("bake", {
      "docker-bake.hcl": `
        group "default" {
          targets = ["one", "two"]
        }
        target "base" {
          dockerfile = "base.Dockerfile"
        }
        target "one" {
          contexts = { base = "target:base" }
          dockerfile = "one.Dockerfile"
          tags = ["bake-one"]
        }
        target "two" {
          contexts = { base = "target:base" }
          dockerfile = "two.Dockerfile"
          tags = ["bake-two"]
        }`,
      "base.Dockerfile": "FROM busybox\nRUN echo base > /base\nENV FROM_BASE=yes\n",
      "one.Dockerfile": "FROM base\nRUN echo $FROM_BASE > /one\n",
      "two.Dockerfile": "FROM busybox\nCOPY --from=base /base /two\n",
    });
    const ran = await docker(folder, ["buildx", "bake", "--progress=plain"]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.equal(await output("bake-one", ["cat", "/base", "/one"]), "base\nyes");
    assert.equal(await output("bake-two", ["cat", "/two"]), "base");
  });

  it("builds and runs the services of a project", async () => {
    const folder = await folderOf("project", {
      "compose.yaml":
        "services:\n  web:\n    build: {context: ., args: {WORD: web}}\n" +
        "  job:\n    build: {context: ., args: {WORD: job}, target: job}\n",
      Dockerfile:
        "FROM busybox AS job\nARG WORD\nENV WORD=$WORD\nCMD echo this is $WORD\nFROM job\nRUN true\n",
    });
    const built = await docker(folder, ["compose", "build", "--progress=plain"]);
    assert.equal(built.code, 0, built.stderr);
    const ran = await docker(folder, ["compose", "run", "--rm", "job"]);
    assert.match(ran.stdout, /this is job/, ran.stderr);
    const down = await docker(folder, ["compose", "down", "--rmi", "all"]);
    assert.equal(down.code, 0, down.stderr);
  });
});
