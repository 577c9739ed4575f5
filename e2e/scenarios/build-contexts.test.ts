/** Named contexts of buildx: the client's folders with their own `.dockerignore`, and image layouts. */
import assert from "node:assert/strict";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { before, describe, it } from "node:test";
import { mustRun, type Ran } from "@gantry/testkit";
import { useBuildxBed } from "../src/buildx-bed.ts";

const bed = useBuildxBed({
  prepare: async (engine) => {
    folder = path.join(engine.root, "context");
    await mkdir(folder);
  },
});
let folder: string;

async function build(dockerfile: string, args: readonly string[]): Promise<Ran> {
  await writeFile(path.join(folder, "Dockerfile"), dockerfile);
  return await bed.tryBuild(folder, args);
}

async function built(dockerfile: string, args: readonly string[]): Promise<string> {
  const ran = await build(dockerfile, args);
  assert.equal(ran.code, 0, ran.stderr);
  return ran.stderr;
}

async function filesOf(name: string, files: Readonly<Record<string, string>>): Promise<string> {
  const root = path.join(bed.engine.root, name);
  await mkdir(root);
  for (const [file, content] of Object.entries(files))
    await writeFile(path.join(root, file), content);
  return root;
}

describe("a named folder", () => {
  it("leaves out what its own .dockerignore says, copied from or built on", async () => {
    const other = await filesOf("other", { ".dockerignore": "left\n", left: "1", taken: "2" });
    await writeFile(path.join(folder, ".dockerignore"), "taken\n");
    const shown = await built(
      "FROM busybox AS lister\nCOPY --from=other . /all/\nRUN ls -A /all > /list\n" +
        "FROM other\nCOPY --from=lister /list /list\n",
      ["--build-context", `other=${other}`, "-o", `type=local,dest=${bed.engine.root}/out`],
    );
    const list = await readFile(path.join(bed.engine.root, "out/list"), "utf8");
    assert.equal(list, ".dockerignore\ntaken\n");
    const { stdout } = await mustRun(["ls", "-A", path.join(bed.engine.root, "out")]);
    assert.equal(stdout, ".dockerignore\nlist\ntaken\n");
    assert.match(shown, /\[context other\] load \.dockerignore\n#\d+ transferring other: \d+B/);
    assert.match(shown, /\[context other\] load from client\n#\d+ transferring other: \d+B/);
    assert.match(shown, /\[stage-1 1\/2\] COPY --from=lister \/list \/list/);
    await rm(path.join(folder, ".dockerignore"));
  });
});

describe("a named image layout", () => {
  const dockerfile =
    "FROM laid AS base\nRUN cat /greeting > /seen\n" +
    "FROM busybox\nCOPY --from=base /seen /\nCOPY --from=laid /greeting /\n";
  let layout: string;

  before(async () => {
    layout = path.join(bed.engine.root, "layout");
    await writeFile(path.join(folder, "greeting"), "hello\n");
    const output = `type=oci,tar=false,dest=${layout},name=laid:1`;
    await built("FROM busybox\nCOPY greeting /\n", ["-o", output]);
  });

  it("is a base and a source of copies, and becomes no image", async () => {
    const images = await bed.engine.docker(["images", "-aq"]);
    const contexts = ["--build-context", `laid=oci-layout://${layout}`];
    const shown = await built(dockerfile, [
      ...contexts,
      "-o",
      `type=local,dest=${bed.engine.root}/laid`,
    ]);
    assert.equal(await readFile(path.join(bed.engine.root, "laid/seen"), "utf8"), "hello\n");
    assert.match(
      shown,
      /\[context laid\] load metadata for docker\.io\/library\/laid@sha256:[0-9a-f]{64}\n/,
    );
    assert.match(shown, /\[context laid\] OCI load from client\n/);
    assert.equal(await bed.engine.docker(["images", "-aq"]), images);
  });

  it("is the platform's image when it is an index", async () => {
    const index = path.join(bed.engine.root, "index");
    const output = `type=oci,tar=false,dest=${index},name=laid:1`;
    await built("FROM busybox\nCOPY greeting /\n", ["--provenance=mode=max", "-o", output]);
    const document = await readFile(path.join(index, "index.json"), "utf8");
    assert.match(document, /image\.index/);
    const contexts = ["--build-context", `laid=oci-layout://${index}`];
    await built(dockerfile, [...contexts, "--no-cache", "-t", "laid-index"]);
    assert.equal(await bed.engine.docker(["run", "--rm", "laid-index", "cat", "/seen"]), "hello");
  });

  it("is refused when a blob of it is another", async () => {
    const index = await readFile(path.join(layout, "index.json"), "utf8");
    const [, top = ""] = /"digest":"sha256:([0-9a-f]{64})"/.exec(index) ?? [];
    const text = await readFile(path.join(layout, "blobs/sha256", top), "utf8");
    const manifest = JSON.parse(text) as { layers: { digest: string }[] };
    const layer = manifest.layers.at(-1)?.digest ?? "";
    await bed.engine.docker(["builder", "prune", "-af"]);
    await bed.engine.docker(["rmi", "laid-index"]);
    await writeFile(path.join(layout, "blobs", layer.replace(":", "/")), "another");
    const ran = await build(dockerfile, ["--build-context", `laid=oci-layout://${layout}`]);
    assert.equal(ran.code, 1);
    assert.ok(ran.stderr.includes(`for ${layer}`), ran.stderr);
  });
});

describe("a named image", () => {
  it("is shown as such, and blamed by its whole name", async () => {
    const dockerfile = "FROM busybox\nCOPY --from=tools /bin/true /t\n";
    const shown = await built(dockerfile, ["--build-context", "tools=docker-image://busybox"]);
    assert.match(shown, /\[context tools\] load metadata for busybox\n/);
    const host = "127.0.0.1:1/none";
    const ran = await build(dockerfile, ["--build-context", `tools=docker-image://${host}`]);
    assert.match(
      ran.stderr,
      new RegExp(
        `^ERROR: failed to solve: failed to resolve source metadata for ${host}:latest: `,
        "m",
      ),
    );
  });
});
