/** Docker's classic builder: the stock CLI without BuildKit, and dockerode, against `POST /build`. */
import assert from "node:assert/strict";
import { symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { mustRun } from "@gantry/testkit";
import type { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";
import Docker from "dockerode";
import { ClassicBuilds } from "../src/classic-build.ts";
import { ask } from "../src/http.ts";

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

describe("the stream", () => {
  it("has Docker's texts for a build, and for the same build again", async () => {
    const folder = await builds.context({
      Dockerfile:
        "FROM busybox\nENV GREETING=hello\nRUN echo $GREETING > /greeting\nCMD cat /greeting\n",
    });
    const first = await builds.build(["-t", "stream:one", folder]);
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
    const second = await builds.build(["-t", "stream:two", folder]);
    assert.equal(second.match(/ ---> Using cache\n/g)?.length, 3);
    assert.doesNotMatch(second, /Running in/);
    assert.equal(await engine.docker(["run", "--rm", "stream:two"]), "hello");
  });
  it("shows what a RUN prints, and its exit code as the CLI's own", async () => {
    const folder = await builds.context({ Dockerfile: "FROM busybox\nRUN echo seen; exit 7\n" });
    const ran = await builds.tryBuild([folder]);
    assert.equal(ran.code, 7);
    assert.match(ran.stdout, /\nseen\n/);
    assert.match(
      ran.stderr,
      /The command '\/bin\/sh -c echo seen; exit 7' returned a non-zero code: 7/,
    );
  });
  it("is the ID alone with --quiet", async () => {
    const folder = await builds.context({ Dockerfile: "FROM busybox\nLABEL quiet=yes\n" });
    assert.match(await builds.build(["-q", folder]), /^sha256:[0-9a-f]{64}\n$/);
  });
  it("leaves no container and no event of one", async () => {
    const folder = await builds.context({ Dockerfile: "FROM busybox\nRUN echo unseen > /x\n" });
    const before = await engine.docker(["ps", "-aq"]);
    const since = String(Date.now() / 1000);
    await builds.build(["--no-cache", folder]);
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
    const folder = await builds.context({
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
    await builds.build(["-t", "config", "--build-arg", "WHO=you", "--label", "three=3", folder]);
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
    const base = await builds.context({
      Dockerfile: "FROM busybox\nONBUILD RUN echo triggered > /trigger\n",
    });
    await builds.build(["-t", "with-trigger", base]);
    const child = await builds.context({ Dockerfile: "FROM with-trigger\n" });
    const shown = await builds.build(["-t", "child", child]);
    // Triggers are part of FROM: one ID, after them.
    assert.match(
      shown,
      /FROM with-trigger\n# Executing 1 build trigger\n ---> Running in .*\n ---> Removed .*\n ---> \w+\nSuccessfully/,
    );
    assert.equal(await engine.docker(["run", "--rm", "child", "cat", "/trigger"]), "triggered");
  });
  it("copy files with owners and modes, folders, patterns and links", async () => {
    const folder = await builds.context({
      Dockerfile: [
        "FROM busybox",
        "COPY one.txt /files/",
        "COPY --chown=nobody:nobody one.txt /owned",
        "COPY tree /tree",
        "COPY *.txt /all/",
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
    await builds.build(["-t", "copied", folder]);
    const shown = await engine.docker([
      ...["run", "--rm", "copied", "sh", "-c"],
      "cat /files/one.txt /stat /tree/link /list /unpacked/packed.txt",
    ]);
    assert.equal(shown, "one\nnobody:nobody 644\nthree\none.txt\ntwo.txt\npacked");
  });
  it("copy from stages, of which only the target is kept", async () => {
    const folder = await builds.context({
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
    await builds.build(["-t", "stages", folder]);
    assert.equal(await engine.docker(["run", "--rm", "stages", "cat", "/made"]), "made");
    await builds.build(["-t", "target", "--target", "empty", folder]);
    const layers = await engine.docker(["inspect", "-f", "{{len .RootFS.Layers}}", "target"]);
    assert.equal(layers, "1");
  });
});

describe("contexts", () => {
  it("are read as archives of every compression, and as a Dockerfile alone", async () => {
    const folder = await builds.context({ Dockerfile: "FROM busybox\nCOPY a /a\n", a: "text" });
    const tar = Buffer.from(
      (await mustRun(["sh", "-c", `tar -cf - -C ${folder} . | base64 -w0`])).stdout,
      "base64",
    );
    for (const input of [tar, gzipSync(tar)]) {
      assert.match(await builds.build(["-"], { input }), /Successfully built/);
    }
    for (const program of ["bzip2", "xz"]) {
      const packed = await mustRun([
        "sh",
        "-c",
        `tar -cf - -C ${folder} . | ${program} | base64 -w0`,
      ]);
      const input = Buffer.from(packed.stdout, "base64");
      assert.match(await builds.build(["-"], { input }), /Successfully built/);
    }
    assert.match(
      await builds.build(["-"], { input: "FROM busybox\nRUN true\n" }),
      /Step 2\/2 : RUN true/,
    );
  });
  it("leave out what .dockerignore says", async () => {
    const folder = await builds.context({
      Dockerfile: "FROM busybox\nCOPY . /all\n",
      ".dockerignore": "secret\n*.log\n!kept.log\n",
      secret: "x",
      "a.log": "x",
      "kept.log": "x",
      plain: "x",
    });
    await builds.build(["-t", "ignored", folder]);
    const shown = await engine.docker(["run", "--rm", "ignored", "ls", "/all"]);
    assert.equal(shown, "Dockerfile\nkept.log\nplain");
  });
});

describe("the cache", () => {
  it("is used until a file's content changes, whatever its time", async () => {
    const folder = await builds.context({
      Dockerfile: "FROM busybox\nCOPY a /a\nRUN cat /a\n",
      a: "1",
    });
    await builds.build([folder]);
    await writeFile(path.join(folder, "a"), "1");
    assert.equal((await builds.build([folder])).match(/Using cache/g)?.length, 2);
    await writeFile(path.join(folder, "a"), "2");
    assert.doesNotMatch(await builds.build([folder]), /Using cache/);
    assert.doesNotMatch(await builds.build(["--no-cache", folder]), /Using cache/);
  });
  it("survives a kill of the builder and of image-service", async () => {
    const folder = await builds.context({ Dockerfile: "FROM busybox\nRUN date +%N > /time\n" });
    await builds.build(["-t", "before-kill", folder]);
    await engine.kill9("build-service");
    await engine.kill9("image-service");
    await untilPasses(async () => {
      assert.match(await builds.build(["-t", "after-kill", folder]), /Using cache/);
    });
    const time = (image: string) => engine.docker(["run", "--rm", image, "cat", "/time"]);
    assert.equal(await time("before-kill"), await time("after-kill"));
  });
  it("is shown by df and emptied by prune", async () => {
    const folder = await builds.context({
      Dockerfile: "FROM busybox\nRUN echo filled > /filled\n",
    });
    await builds.build([folder]);
    const count = async (): Promise<number> =>
      Number(
        (await engine.docker(["system", "df", "--format", "{{.Type}} {{.TotalCount}}"])).split(
          "Build Cache ",
        )[1],
      );
    assert.ok((await count()) > 0);
    await engine.docker(["builder", "prune", "-af"]);
    assert.equal(await count(), 0);
    assert.match(await builds.build([folder]), /Running in/);
  });
});

describe("a pruned cache", () => {
  it("is told of by an event, with what was reclaimed", async () => {
    await builds.build([
      await builds.context({ Dockerfile: "FROM busybox\nRUN echo pruned > /pruned\n" }),
    ]);
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

describe("build arguments", () => {
  it("that no ARG declares are warned of; ARGs before the first FROM are steps", async () => {
    const folder = await builds.context({
      Dockerfile: "ARG Z\nFROM busybox\nARG A=1\nRUN echo $A\n",
    });
    const args = ["A=2", "C=3", "B=3", "Z=1", "http_proxy=x"].flatMap((each) => [
      "--build-arg",
      each,
    ]);
    const shown = await builds.build([...args, folder]);
    assert.match(shown, /^Step 1\/4 : ARG Z\nStep 2\/4 : FROM busybox\n/m);
    const end = new RegExp(
      `\\n\\[Warning\\] One or more build-args \\[B C\\] were not consumed\\nSuccessfully built ${id}\\n`,
    );
    assert.match(shown, end);
  });
});

describe("dockerode", () => {
  it("builds, and finds the ID in the stream", async () => {
    const folder = await builds.context({ Dockerfile: "FROM busybox\nLABEL by=dockerode\n" });
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
