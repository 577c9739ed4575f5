/** Flags of instructions and of `docker build` with buildx, each by what it changes in a result. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, readdir, readFile, readlink, writeFile } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { describe, it } from "node:test";
import { mustRun } from "@gantry/testkit";
import { makeImage, makeLayer, putImage } from "@gantry/testkit/image-maker";
import { startRegistry } from "@gantry/testkit/registry";
import { useBuildxBed } from "../src/buildx-bed.ts";
import { serveRepository } from "../src/git-server.ts";

const bed = useBuildxBed();

type Files = Readonly<Record<string, string>>;
let count = 0;

async function folderOf(files: Files): Promise<string> {
  count += 1;
  const folder = path.join(bed.engine.root, "contexts", String(count));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
    await writeFile(path.join(folder, name), content);
  }
  return folder;
}

/** A Dockerfile's result as a folder. */
interface Result {
  read(name: string): Promise<string>;
  /** Paths of all files, sorted. */
  readonly names: readonly string[];
}

const { tryBuild } = bed;

async function build(folder: string, args: readonly string[] = []): Promise<Result> {
  count += 1;
  const out = path.join(bed.engine.root, "results", String(count));
  const ran = await tryBuild(folder, ["--output", `type=local,dest=${out}`, ...args]);
  assert.equal(ran.code, 0, ran.stderr);
  const entries = await readdir(out, { recursive: true, withFileTypes: true });
  const names = entries
    .filter((each) => !each.isDirectory())
    .map((each) => path.relative(out, path.join(each.parentPath, each.name)));
  return {
    read: async (name) => await readFile(path.join(out, name), "utf8"),
    names: names.sort(),
  };
}

/** Waits in a step for a file of another step. */
const untilThere = (file: string): string =>
  `for i in $(seq 600); do [ -e ${file} ] && break; sleep 0.1; done; [ -e ${file} ]`;

describe("cache mounts of steps that run at once", () => {
  it("are one folder when shared, and one each when private", async () => {
    const stage = (own: string, other: string): string =>
      `FROM busybox AS ${own}\nRUN --mount=type=cache,id=meet,target=/m --mount=type=cache,id=own,target=/c,sharing=private ` +
      `touch /m/${own} /c/${own} && ${untilThere(`/m/${other}`)} && ls /c > /${own}\n`;
    const collect = "FROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /\n";
    const result = await build(
      await folderOf({ Dockerfile: stage("a", "b") + stage("b", "a") + collect }),
    );
    assert.deepEqual([await result.read("a"), await result.read("b")], ["a\n", "b\n"]);
  });

  it("stay the folder of who has them, also an empty one when the next step comes", async () => {
    const mount = "RUN --mount=type=cache,id=empty,target=/c ";
    const result = await build(
      await folderOf({
        Dockerfile:
          `FROM busybox AS a\n${mount} --mount=type=cache,id=sign,target=/sign touch /sign/a && ${untilThere("/c/b")} && cp /c/b /\n` +
          `FROM busybox AS b\nRUN --mount=type=cache,id=sign,target=/sign ${untilThere("/sign/a")}\n${mount} echo b > /c/b\n` +
          "FROM scratch\nCOPY --from=b /etc/passwd /\nCOPY --from=a /b /\n",
      }),
    );
    assert.equal(await result.read("b"), "b\n");
  });

  it("have one user at a time when locked", async () => {
    const stages = ["a", "b", "c"].map(
      (name) =>
        `FROM busybox AS ${name}\nRUN --mount=type=cache,id=one,target=/c,sharing=locked ` +
        `mkdir /c/inside && sleep 0.3 && rmdir /c/inside && echo ${name} >> /c/all && cp /c/all /seen-${name}\n`,
    );
    const copies = ["a", "b", "c"].map((name) => `COPY --from=${name} /seen-${name} /\n`);
    const result = await build(
      await folderOf({ Dockerfile: `${stages.join("")}FROM scratch\n${copies.join("")}` }),
    );
    const seen = await Promise.all(["a", "b", "c"].map((name) => result.read(`seen-${name}`)));
    assert.deepEqual(seen.map((text) => text.trim().split("\n").length).sort(), [1, 2, 3]);
  });
});

describe("what is built anew", () => {
  it("are the stages of --no-cache-filter and what is made of them, and no others", async () => {
    const stage = (name: string): string =>
      `FROM busybox AS ${name}\nRUN cat /proc/sys/kernel/random/uuid > /${name}\n`;
    const folder = await folderOf({
      Dockerfile:
        `${stage("a")}${stage("b")}FROM b AS child\nRUN cp /b /child\n` +
        "FROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /\nCOPY --from=child /child /\n",
    });
    const idsOf = async (args: readonly string[] = []): Promise<string[]> => {
      const result = await build(folder, args);
      return await Promise.all(["a", "b", "child"].map((name) => result.read(name)));
    };
    const [a, b, child] = await idsOf();
    assert.equal(child, b);
    assert.deepEqual(await idsOf(), [a, b, b]);
    const [filteredA, filteredB, filteredChild] = await idsOf(["--no-cache-filter=b"]);
    assert.equal(filteredA, a);
    assert.notEqual(filteredB, b);
    // What stands on it is done anew, too.
    assert.equal(filteredChild, filteredB);
    assert.deepEqual(await idsOf(), [a, filteredB, filteredB]);
    const [newA] = await idsOf(["--no-cache"]);
    assert.notEqual(newA, a);
  });

  it("is a base that has changed, with --pull only", async () => {
    await using registry = await startRegistry({ dir: path.join(bed.engine.root, "registry") });
    const put = async (text: string): Promise<void> => {
      const layer = await makeLayer([{ header: { name: "word" }, content: Buffer.from(text) }]);
      await putImage(registry.host, "base", "latest", makeImage({ layers: [layer] }));
    };
    await put("first");
    const folder = await folderOf({
      Dockerfile: `FROM ${registry.host}/base AS base\nFROM scratch\nCOPY --from=base /word /\n`,
    });
    const word = async (args: readonly string[] = []): Promise<string> =>
      await (await build(folder, args)).read("word");
    assert.equal(await word(), "first");
    await put("second");
    assert.equal(await word(), "first");
    assert.equal(await word(["--pull"]), "second");
  });
});

describe("COPY", () => {
  it("leaves out, keeps parents, and links as its flags say", async () => {
    const folder = await folderOf({
      Dockerfile: [
        "# syntax=docker/dockerfile:1",
        "FROM busybox AS made",
        "RUN mkdir /other && ln -s /other /link",
        "COPY --link a/one /link/",
        "FROM scratch",
        "COPY --exclude=*.log --exclude=b a /excluded/",
        "COPY --parents a/b/two a/./b/three /parents/",
        "COPY --from=made /link /linked/",
      ].join("\n"),
      ...{ "a/one": "1", "a/x.log": "x", "a/b/two": "2", "a/b/three": "3" },
    });
    assert.deepEqual((await build(folder)).names, [
      ...["excluded/one", "linked/one", "parents/a/b/two", "parents/b/three"],
    ]);
  });
});

describe("ADD", () => {
  it("fetches by URL what has the checksum, and unpacks what it is told to", async () => {
    const folder = await folderOf({ "inside/word": "packed" });
    await mustRun(["tar", "-czf", "packed.tar.gz", "-C", "inside", "word"], { cwd: folder });
    const archive = await readFile(path.join(folder, "packed.tar.gz"));
    const server = http.createServer((_request, response) => {
      response.end(archive);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/far.tar.gz`;
      const sum = `sha256:${createHash("sha256").update(archive).digest("hex")}`;
      const dockerfile = (checksum: string): string =>
        [
          ...["FROM scratch", `ADD --checksum=${checksum} ${url} /as-is/`],
          ...[`ADD --unpack=true ${url} /unpacked/`, "ADD packed.tar.gz /local/"],
          "ADD --unpack=false packed.tar.gz /whole/",
        ].join("\n");
      await writeFile(path.join(folder, "Dockerfile"), dockerfile(sum));
      const result = await build(folder);
      assert.deepEqual(result.names, [
        ...["as-is/far.tar.gz", "local/word", "unpacked/word", "whole/packed.tar.gz"],
      ]);
      assert.equal(await result.read("unpacked/word"), "packed");
      const wrong = `sha256:${"0".repeat(64)}`;
      await writeFile(path.join(folder, "Dockerfile"), dockerfile(wrong));
      const ran = await tryBuild(folder, []);
      assert.equal(ran.code, 1);
      assert.ok(ran.stderr.includes(`digest mismatch ${sum}: ${wrong}`), ran.stderr);
    } finally {
      server.close();
    }
  });

  it("fetches a repository by reference and folder, its .git when wanted", async () => {
    const folder = await folderOf({ "repository/sub/word": "of main", "repository/top": "t" });
    await using server = await serveRepository(path.join(folder, "repository"));
    const { url, commit } = server;
    const dockerfile = [
      ...["FROM scratch", `ADD ${url}#main:sub /sub/`],
      `ADD --keep-git-dir=true --checksum=${commit} ${url}#main /all/`,
    ].join("\n");
    const { names } = await build(await folderOf({ Dockerfile: dockerfile }));
    assert.deepEqual(
      names.filter((name) => !name.includes(".git/")),
      ["all/sub/word", "all/top", "sub/word"],
    );
    assert.ok(names.includes("all/.git/HEAD"), names.join("\n"));
  });

  it("says in BuildKit's words why a repository or a file was not fetched, and blames no line", async () => {
    const folder = await folderOf({ "repository/sub/word": "of main", "repository/top": "t" });
    await using server = await serveRepository(path.join(folder, "repository"));
    const { url, commit } = server;
    const web = http.createServer((_request, response) => response.writeHead(404).end());
    web.listen(0, "127.0.0.1");
    await once(web, "listening");
    const port = String((web.address() as AddressInfo).port);
    const cases = [
      [`${url}#nope`, 'failed to load cache key: repository does not contain ref nope, output: ""'],
      [
        `${url}#main:none`,
        'invalid subdir /none: failed to lstat "none": statat none: no such file',
      ],
      [`${url}#main:top`, 'invalid subdir /top: git subpath "/top" contains non-directory "top"'],
      [`--checksum=zz ${url}`, "invalid checksum zz for Git URL, expected hex commit hash"],
      [`--checksum=00 ${url}`, `expected checksum to match 00, got ${commit}`],
      [`${url}-none`, `error fetching default branch for repository ${url}-none: git stderr:`],
      ["git@127.0.0.1:none", "unset ssh forward key default"],
      [`http://127.0.0.1:${port}/x`, "failed to load cache key: invalid response status 404"],
      [
        `https://127.0.0.1:${port}/x`,
        `Get "https://127.0.0.1:${port}/x": http: server gave HTTP response to HTTPS client`,
      ],
    ] as const;
    try {
      for (const [source, text] of cases) {
        const Dockerfile = `FROM scratch\nADD ${source} /x\n`;
        const ran = await tryBuild(await folderOf({ Dockerfile }), []);
        assert.equal(ran.code, 1, source);
        assert.ok(ran.stderr.includes(text), ran.stderr);
        assert.doesNotMatch(ran.stderr, />>>/);
      }
    } finally {
      web.close();
    }
  });
});

describe("docker build", () => {
  it("takes named contexts: folders, images, and in a stage's place", async () => {
    const other = await folderOf({ word: "of the other folder" });
    const folder = await folderOf({
      Dockerfile:
        "FROM busybox AS stage\nRUN echo of the stage > /word\n" +
        "FROM scratch\nCOPY --from=other word /other\nCOPY --from=image /etc/passwd /image\nCOPY --from=stage word /stage\n",
    });
    const contexts = [
      ...["--build-context", `other=${other}`, "--build-context", "image=docker-image://busybox"],
      ...["--build-context", `stage=${other}`],
    ];
    const result = await build(folder, contexts);
    assert.equal(await result.read("other"), "of the other folder");
    assert.match(await result.read("image"), /^root:/);
    assert.equal(await result.read("stage"), "of the other folder");
  });

  it("gives steps hosts, limits, shared memory and networks", async () => {
    const folder = await folderOf({
      Dockerfile: [
        "FROM busybox AS made",
        "RUN grep far.example /etc/hosts > /hosts; ulimit -n > /files; df -m /dev/shm | tail -1 > /shm",
        "RUN --network=none ls /sys/class/net > /none",
        "RUN --network=host readlink /proc/self/ns/net > /host",
        "FROM scratch",
        "COPY --from=made /hosts /files /shm /none /host /",
      ].join("\n"),
    });
    const result = await build(folder, [
      ...["--add-host", "far.example:192.0.2.7", "--ulimit", "nofile=321:321"],
      ...["--shm-size", "7m", "--allow", "network.host"],
    ]);
    assert.match(await result.read("hosts"), /^192\.0\.2\.7\s+far\.example$/m);
    assert.equal(await result.read("files"), "321\n");
    assert.match(await result.read("shm"), /\s7\s/);
    assert.equal(await result.read("none"), "lo\n");
    assert.equal((await result.read("host")).trim(), await readlink("/proc/self/ns/net"));
  });

  it("dates an image by SOURCE_DATE_EPOCH", async () => {
    const folder = await folderOf({ Dockerfile: "FROM busybox\nRUN echo dated > /word\n" });
    const args = ["-t", "dated", "--build-arg", "SOURCE_DATE_EPOCH=1000000000"];
    const ran = await tryBuild(folder, args);
    assert.equal(ran.code, 0, ran.stderr);
    const created = await bed.engine.docker(["inspect", "-f", "{{.Created}}", "dated"]);
    assert.equal(created, "2001-09-09T01:46:40Z");
  });

  it("writes an archive that docker load takes", async () => {
    const folder = await folderOf({ Dockerfile: "FROM busybox\nRUN echo loaded > /word\n" });
    const ran = await tryBuild(folder, ["-t", "archived", "-o", "type=docker,dest=image.tar"]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.notEqual((await bed.engine.tryDocker(["inspect", "archived"])).code, 0);
    await bed.engine.docker(["load", "--input", path.join(folder, "image.tar")]);
    assert.equal(await bed.engine.docker(["run", "--rm", "archived", "cat", "/word"]), "loaded");
  });
});
