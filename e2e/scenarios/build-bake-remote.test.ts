/** Bake files in repositories and behind URLs: the client has the engine fetch them, and reads them there. */
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, describe, it } from "node:test";
import type { Ran } from "@gantry/testkit";
import { useBuildxBed } from "../src/buildx-bed.ts";
import { type GitServer, serveFiles, serveRepository } from "../src/git-server.ts";

const cleanUp = new AsyncDisposableStack();
let repository: GitServer;
let root = "";

const definition = `
target "default" {
  dockerfile-inline = "FROM scratch\\nCOPY who /who"
}
target "lower" {
  context = "sub"
}
target "linked" {
  contexts = { other = "sub" }
  dockerfile-inline = "FROM scratch\\nCOPY --from=other sub/who /who"
}
target "missing" {
  context = "none"
}
`;

const bed = useBuildxBed({
  prepare: async (engine) => {
    root = path.join(engine.root, "git/whole");
    await mkdir(path.join(root, "sub"), { recursive: true });
    await writeFile(path.join(root, "docker-bake.hcl"), definition);
    await writeFile(path.join(root, "who"), "top\n");
    await writeFile(path.join(root, "sub/who"), "folder\n");
    await writeFile(path.join(root, "sub/Dockerfile"), "FROM scratch\nCOPY . /\n");
    repository = cleanUp.use(await serveRepository(root));
  },
});
after(async () => {
  await cleanUp.disposeAsync();
});

const bake = async (out: string, args: readonly string[]): Promise<Ran> => {
  const output = `*.output=type=local,dest=${path.join(bed.engine.root, "out", out)}`;
  return await bed.docker(root, ["buildx", "bake", "--progress=plain", "--set", output, ...args]);
};
const got = (out: string): Promise<string> =>
  readFile(path.join(bed.engine.root, "out", out, "who"), "utf8");
const lastLine = ({ stderr }: Ran): string | undefined => stderr.trimEnd().split("\n").at(-1);

describe("a bake file of a repository", () => {
  for (const [target, who] of [
    ["default", "top\n"],
    ["lower", "folder\n"],
    ["linked", "folder\n"],
  ] as const) {
    it(`is read, and its folder is the context: target ${target}`, async () => {
      const ran = await bake(target, [repository.url, target]);
      assert.equal(ran.code, 0, ran.stderr);
      assert.match(ran.stderr, /^#1 \[internal\] load git source git:\/\/127\.0\.0\.1:/m);
      assert.equal(await got(target), who);
    });
  }

  it("is told of when the repository has none of that name", async () => {
    const ran = await bake("none", ["-f", "none.hcl", repository.url]);
    assert.equal(ran.code, 1);
    assert.equal(
      lastLine(ran),
      "ERROR: failed to solve: lstat none.hcl: no such file or directory",
    );
  });

  it("is not a folder", async () => {
    const ran = await bake("none", ["-f", "sub", repository.url]);
    assert.equal(ran.code, 1);
    assert.equal(lastLine(ran), "ERROR: failed to solve: read sub: is a directory");
  });

  it("may want a folder that is not there", async () => {
    const ran = await bake("missing", [repository.url, "missing"]);
    assert.equal(ran.code, 1);
    assert.match(
      lastLine(ran) ?? "",
      /^ERROR: failed to solve: failed to compute cache key: failed to calculate checksum of ref [\w-]+::\w+: "\/none": not found$/,
    );
  });
});

describe("a bake file behind a URL", () => {
  it("is read; its targets build the client's folder", async () => {
    await using files = await serveFiles(root);
    const ran = await bake("url", [`${files.url}/docker-bake.hcl`]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.equal(await got("url"), "top\n");
  });

  it("is told of when the server has none", async () => {
    await using files = await serveFiles(root);
    const ran = await bake("url", [`${files.url}/none.hcl`]);
    assert.equal(ran.code, 1);
    assert.equal(
      lastLine(ran),
      "ERROR: failed to solve: failed to load cache key: invalid response status 404",
    );
  });
});
