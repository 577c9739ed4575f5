/** Corners of the classic builder's steps: what an image lacks, what is empty, and what is in the way. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { ClassicBuilds, tarOf } from "../src/classic-build.ts";

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

let builds: ClassicBuilds;
before(async () => {
  builds = await ClassicBuilds.start();
  const { engine, scratch } = builds;
  const bare = path.join(scratch, "bare.tar");
  await engine.docker(["create", "--name", "bare", "busybox"]);
  await engine.docker(["export", "--output", bare, "bare"]);
  await engine.docker(["import", "--change", 'CMD ["/bin/echo", "its own"]', bare, "bare"]);
  await engine.docker(["rm", "bare"]);
});
after(async () => {
  await builds[Symbol.asyncDispose]();
});

async function build(lines: readonly string[], args: readonly string[] = []): Promise<string> {
  const folder = await builds.context({ Dockerfile: lines.join("\n") });
  return await builds.build(["-t", "steps", ...args, folder]);
}

async function refusal(lines: readonly string[]): Promise<string> {
  const folder = await builds.context({ Dockerfile: lines.join("\n") });
  const ran = await builds.tryBuild([folder]);
  assert.equal(ran.code, 1, ran.stdout);
  return ran.stderr;
}

async function config(field: string): Promise<unknown> {
  const format = `{{json .Config.${field}}}`;
  return JSON.parse(await builds.engine.docker(["image", "inspect", "-f", format, "steps"]));
}

describe("an image without a path for programs", () => {
  it("gets the default one, which the Dockerfile can go on from", async () => {
    await build(["FROM bare", "LABEL a=b"]);
    assert.deepEqual(await config("Env"), [defaultPath]);
    const lines = ["FROM bare", "ENV HOME=/root", "ENV PATH $HOME/bin:$PATH", "RUN ls /"];
    await build(lines);
    const wanted = [defaultPath.replace("=", "=/root/bin:"), "HOME=/root"];
    assert.deepEqual(await config("Env"), wanted);
  });
});

describe("an empty command", () => {
  it("of RUN is what the image runs by itself, with nothing to tell in the history", async () => {
    assert.match(await build(["FROM bare", "RUN []"]), /\nits own\n/);
    const history = ["history", "--no-trunc", "--format", "{{json .CreatedBy}}", "steps"];
    assert.equal((await builds.engine.docker(history)).split("\n")[0], '""');
    assert.match(await build(["FROM bare", 'ENTRYPOINT ["echo"]', "RUN []"]), /Running in .*\n\n/);
    assert.match(await refusal(["FROM bare", "CMD []", "RUN []"]), /no command specified/);
  });
  it("of CMD is none, and no command of the stage's own", async () => {
    await build(["FROM busybox", 'ENTRYPOINT ["echo"]', "CMD []"]);
    assert.equal(await config("Cmd"), null);
    await build(["FROM busybox", "CMD []", 'ENTRYPOINT ["echo"]']);
    assert.equal(await config("Cmd"), null);
  });
});

describe("COPY --from", () => {
  it("refuses the number of its own stage, and those that are none", async () => {
    const own = await refusal(["FROM busybox", "COPY --from=0 /a /"]);
    assert.match(own, /invalid from flag value 0: refers to current build stage/);
    const none = await refusal(["FROM busybox", "COPY --from=1 /a /"]);
    assert.match(none, /invalid from flag value 1: index out of bounds/);
  });
});

describe("a stage", () => {
  it("has from the cache what one before it has made", async () => {
    const stage = ["FROM busybox", "RUN echo $(date) > /made", "WORKDIR /folder"];
    const shown = await build([...stage, ...stage]);
    assert.equal(shown.match(/ ---> Using cache\n/g)?.length, 2, shown);
  });
});

describe("VOLUME", () => {
  it("is refused over a file, every time", async () => {
    const lines = ["FROM busybox", "RUN touch /file", "VOLUME /file"];
    const words = /cannot mount volume over existing file, file exists \/file/;
    assert.match(await refusal(lines), words);
    assert.match(await refusal(lines), words);
    await build(["FROM busybox", "RUN mkdir /folder", "VOLUME /folder /new"]);
    assert.deepEqual(await config("Volumes"), { "/folder": {}, "/new": {} });
  });
});

describe("a pattern", () => {
  it("is the same step as the path of what it matches", async () => {
    const folder = await builds.context({ "file1.txt": "1", Dockerfile: "" });
    const copied = async (source: string): Promise<string> => {
      await writeFile(path.join(folder, "Dockerfile"), `FROM busybox\nCOPY ${source} /tmp/\n`);
      const shown = await builds.build(["-t", "steps", folder]);
      return /Successfully built (.*)/.exec(shown)?.[1] ?? shown;
    };
    assert.equal(await copied("file*.txt"), await copied("file1.txt"));
  });
});

describe("ADD", () => {
  it("unpacks archives of any compression, and copies what is only compressed, empty or damaged", async () => {
    const folder = await builds.context({ Dockerfile: "" });
    const inside = path.join(folder, "inside");
    await mkdir(inside);
    await writeFile(path.join(inside, "member"), "of the archive");
    const archive = await tarOf(inside);
    const xz = Buffer.from("fd377a585a000004e6d6b4460200210116000000742fe5a301003f", "hex");
    const files: Record<string, Buffer> = {
      "good.tar.gz": gzipSync(archive),
      "text.gz": gzipSync("no archive"),
      "twice.gz.gz": gzipSync(gzipSync(archive)),
      "damaged.xz": xz,
      "empty.tar": Buffer.alloc(10_240),
    };
    for (const [name, bytes] of Object.entries(files))
      await writeFile(path.join(folder, name), bytes);
    const steps = Object.keys(files).map((name) => `ADD ${name} /added/`);
    await writeFile(path.join(folder, "Dockerfile"), ["FROM busybox", ...steps].join("\n"));
    await builds.build(["-t", "added", folder]);
    const listed = await builds.engine.docker(["run", "--rm", "added", "ls", "/added"]);
    const names = ["damaged.xz", "empty.tar", "member", "text.gz", "twice.gz.gz"];
    assert.deepEqual(listed.split("\n"), names);
  });
});
