/** Repositories as contexts, over git's own protocol: what of them is meant, and what is told when it can't be had. */
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { cleanEnvironment, makeDockerConfig, mustRun, type Ran, run } from "@gantry/testkit";
import { TestEngine } from "@gantry/testkit/test-engine";
import { type GitServer, servePlainFiles, serveRepository } from "../src/git-server.ts";

let engine: TestEngine;
let env: Record<string, string>;
let part: GitServer;
let server: GitServer;
let commit: string;
const cleanUp = new AsyncDisposableStack();

before(async () => {
  engine = cleanUp.use(await TestEngine.start());
  const config = await makeDockerConfig(path.join(engine.root, "docker"), ["buildx"]);
  env = { ...engine.clientEnv(), DOCKER_CONFIG: config };
  part = cleanUp.use(await repository("part", { inside: "of the submodule\n" }));
  const dockerfile = "FROM scratch\nCOPY . /\n";
  server = cleanUp.use(
    await repository("whole", {
      ...{ Dockerfile: dockerfile, who: "main\n" },
      ...{ "sub/Dockerfile": dockerfile, "sub/who": "folder\n" },
    }),
  );
  const root = path.join(engine.root, "git/whole");
  const git = (...args: string[]): Promise<Ran> =>
    mustRun(["git", "-c", "user.name=x", "-c", "user.email=x@x", ...args], {
      ...{ cwd: root, env: cleanEnvironment({ HOME: root, GIT_CONFIG_NOSYSTEM: "1" }) },
    });
  await git("submodule", "--quiet", "add", part.url, "module");
  await git("commit", "--quiet", "-m", "with a submodule");
  await git("tag", "-a", "v1", "-m", "annotated");
  await git("checkout", "--quiet", "-b", "feature/x");
  await writeFile(path.join(root, "who"), "feature\n");
  await git("commit", "--quiet", "-a", "-m", "feature");
  commit = (await git("rev-parse", "HEAD")).stdout.trim();
  await git("update-ref", "refs/pull/7/head", "HEAD");
  await git("checkout", "--quiet", "main");
});
after(async () => {
  await cleanUp.disposeAsync();
});

async function repository(name: string, files: Readonly<Record<string, string>>) {
  const root = path.join(engine.root, "git", name);
  for (const [file, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, file)), { recursive: true });
    await writeFile(path.join(root, file), content);
  }
  return await serveRepository(root);
}

const build = (args: readonly string[]): Promise<Ran> =>
  run(["docker", "build", "--progress=plain", ...args], { env, timeoutMs: 60_000 });

describe("a repository", () => {
  for (const [suffix, who] of [
    ["", "main\n"],
    ["#main", "main\n"],
    ["#v1", "main\n"],
    ["#refs/heads/main", "main\n"],
    ["#feature/x", "feature\n"],
    ["#refs/pull/7/head", "feature\n"],
    ["?ref=feature/x", "feature\n"],
    ["#main:sub", "folder\n"],
    ["#:sub", "folder\n"],
    ["#main:/sub", "folder\n"],
  ] as const) {
    it(`is a context as the URL says: ${suffix || "its default branch"}`, async () => {
      const out = path.join(engine.root, "out", Buffer.from(suffix).toString("hex"));
      const ran = await build(["-o", `type=local,dest=${out}`, `${server.url}${suffix}`]);
      assert.equal(ran.code, 0, ran.stderr);
      assert.equal(await readFile(path.join(out, "who"), "utf8"), who);
      if (who === "folder\n") return;
      assert.equal(await readFile(path.join(out, "module/inside"), "utf8"), "of the submodule\n");
    });
  }

  it("must be at the commit that its URL says", async () => {
    const add = async (query: string): Promise<Ran> => {
      const folder = path.join(engine.root, "add");
      await mkdir(folder, { recursive: true });
      await writeFile(
        path.join(folder, "Dockerfile"),
        `FROM scratch\nADD ${server.url}${query} /\n`,
      );
      return await build(["-o", `type=local,dest=${path.join(folder, "out")}`, folder]);
    };
    const good = await add(`?branch=feature/x&checksum=${commit.slice(0, 12)}&submodules=0`);
    assert.equal(good.code, 0, good.stderr);
    const out = path.join(engine.root, "add/out");
    assert.equal(await readFile(path.join(out, "who"), "utf8"), "feature\n");
    await assert.rejects(readFile(path.join(out, "module/inside")), { code: "ENOENT" });
    for (const word of ["commit", "checksum"]) {
      const bad = await add(`?ref=feature/x&${word}=deadbeef`);
      assert.equal(bad.code, 1);
      const text = `expected checksum to match deadbeef, got ${commit}`;
      assert.ok(bad.stderr.trimEnd().endsWith(text), bad.stderr);
    }
  });

  it("is a context by commit", async () => {
    const out = path.join(engine.root, "out/commit");
    const ran = await build(["-o", `type=local,dest=${out}`, `${server.url}#${commit}`]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.equal(await readFile(path.join(out, "who"), "utf8"), "feature\n");
  });

  for (const suffix of ["", "#v1", "#feature/x"]) {
    it(`is a context as plain files over http, too: ${suffix || "its default branch"}`, async () => {
      await using files = await servePlainFiles(path.join(engine.root, "git/whole/.git"));
      const out = path.join(engine.root, "out/plain", Buffer.from(suffix).toString("hex"));
      const ran = await build(["-o", `type=local,dest=${out}`, `${files.url}${suffix}`]);
      assert.equal(ran.code, 0, ran.stderr);
      const who = suffix === "#feature/x" ? "feature\n" : "main\n";
      assert.equal(await readFile(path.join(out, "who"), "utf8"), who);
    });
  }

  const key = "failed to load cache key: ";
  for (const [suffix, text] of [
    ["#nope", `${key}repository does not contain ref nope, output: ""`],
    ["#a..b", `${key}repository does not contain ref a..b, output: ""`],
    ["#--upload-pack=x", `${key}invalid git ref "--upload-pack=x"`],
    [
      "#main:none",
      'invalid subdir /none: failed to lstat "none": statat none: no such file or directory',
    ],
    ["#main:who", 'invalid subdir /who: git subpath "/who" contains non-directory "who"'],
  ] as const) {
    it(`is told of in BuildKit's words: ${suffix}`, async () => {
      const ran = await build([`${server.url}${suffix}`]);
      assert.equal(ran.code, 1);
      const last = ran.stderr.trimEnd().split("\n").at(-1);
      assert.equal(last, `ERROR: failed to solve: failed to read dockerfile: ${text}`);
    });
  }

  it("is told of with git's own words when its server has none of it", async () => {
    const ran = await build([`${server.url}-none`]);
    assert.equal(ran.code, 1);
    assert.match(
      ran.stderr,
      /^ERROR: failed to solve: failed to read dockerfile: failed to load cache key: error fetching default branch for repository \S+-none: git stderr:\nfatal: .*\n: exit status 128$/m,
    );
  });
});

describe("an archive of a server", () => {
  it("is blamed when the server has none", async () => {
    const ran = await build(["http://127.0.0.1:1/context.tar"]);
    assert.equal(
      ran.stderr.trimEnd().split("\n").at(-1),
      "ERROR: failed to solve: failed to read downloaded context: failed to load cache key: " +
        'Get "http://127.0.0.1:1/context.tar": dial tcp 127.0.0.1:1: connect: connection refused',
    );
  });
});
