/** Caches that travel: in images, in registries, in folders of clients. Stock CLI with buildx 0.13. */
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, describe, it } from "node:test";
import { run } from "@gantry/testkit";
import { type Registry, startRegistry } from "@gantry/testkit/registry";
import { untilPasses } from "@gantry/testkit/until-passes";
import { useBuildxBed } from "../src/buildx-bed.ts";

const policy = [{ all: true, maxUsedSpace: "3GB", filter: ["unused-for=48h", "type=regular"] }];
const bed = useBuildxBed({
  daemonJson: { builder: { gc: { policy } } },
  prepare: async (engine) => {
    registry = await startRegistry({ dir: path.join(engine.root, "registry") });
  },
});
const { docker, build } = bed;
let registry: Registry;

after(async () => {
  await registry[Symbol.asyncDispose]();
});

/** Two stages; the first is in the result only by what is copied from it. */
const dockerfile =
  "FROM busybox AS made\nCOPY source /source\nRUN cat /source > /made && echo worked\n" +
  "FROM busybox\nWORKDIR /out\nCOPY --from=made /made .\nARG MORE=more\n" +
  "RUN echo $MORE >> made && echo added\nCMD cat made\n";

async function folderOf(name: string, source = "from the source\n"): Promise<string> {
  const folder = path.join(bed.engine.root, "contexts", name);
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, "Dockerfile"), dockerfile);
  await writeFile(path.join(folder, "source"), source);
  return folder;
}

/** Takes away everything but busybox. */
async function forget(...images: string[]): Promise<void> {
  for (const image of images) await bed.engine.docker(["rmi", "-f", image]);
  await bed.engine.docker(["builder", "prune", "--all", "--force"]);
  const rest = await bed.engine.docker(["system", "df", "--format", "{{.Type}} {{.TotalCount}}"]);
  assert.match(rest, /^Build Cache 0$/m);
}

const images = async (): Promise<string> =>
  await bed.engine.docker(["images", "--all", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]);
const imageCount = async (): Promise<string> =>
  await bed.engine.docker(["info", "--format", "{{.Images}}"]);

const worked = /^#\d+ [\d.]+ worked$/m;
const added = /^#\d+ [\d.]+ added$/m;

describe("the builder's cache", () => {
  it("has the bounds of daemon.json", async () => {
    const shown = await run(["docker", "buildx", "inspect"], { env: bed.env });
    assert.match(shown.stdout, /GC Policy rule#0:\n\s+All:\s+true\n/, shown.stderr);
    assert.match(shown.stdout, /Filters:\s+type==regular\n\s+Keep Duration:\s+48h0m0s\n/);
    assert.doesNotMatch(shown.stdout, /rule#1/);
  });

  it("is asked with the others in a system prune, by label and by time", async () => {
    const filters = ["--filter", "label=nobody.has.it", "--filter", "until=2000-01-01T00:00:00"];
    const said = await bed.engine.docker(["system", "prune", "--force", ...filters]);
    assert.equal(said, "Total reclaimed space: 0B");
  });
});

describe("a cache in an image's config", () => {
  it("comes with the image from a registry, which is no image of the user then", async () => {
    const folder = await folderOf("inline");
    const image = `${registry.host}/inline:1`;
    await build(folder, ["-t", image, "--push", "--cache-to", "type=inline"]);
    await forget(image);
    const before = await images();
    const count = await imageCount();
    const args = ["-o", "type=cacheonly", "--cache-from", `type=registry,ref=${image}`];
    const shown = await build(folder, args);
    assert.match(shown, new RegExp(`importing cache manifest from ${image}\n#\\d+ [^]*DONE`));
    assert.doesNotMatch(shown, worked);
    assert.match(shown, /RUN echo more >> made && echo added\n#\d+ CACHED\n/);
    assert.equal(await images(), before);
    assert.equal(await imageCount(), count);
    assert.equal(
      (
        await bed.engine.docker([
          "events",
          "--since",
          "1h",
          "--until",
          "0s",
          "--filter",
          "event=pull",
        ])
      ).includes("inline"),
      false,
    );

    await build(folder, [...args.slice(2), "-t", "arrived"]);
    assert.equal(await bed.engine.docker(["run", "--rm", "arrived"]), "from the source\nmore");
    await forget("arrived");
    await folderOf("inline", "changed\n");
    assert.match(await build(folder, args), worked);
    await forget();
  });

  it("is taken from an image that is here when no registry has it", async () => {
    const folder = await folderOf("local-image");
    await build(folder, ["-t", "local-image", "--build-arg", "BUILDKIT_INLINE_CACHE=1"]);
    await bed.engine.docker(["builder", "prune", "--all", "--force"]);
    const shown = await build(folder, ["--cache-from", "local-image"]);
    assert.doesNotMatch(shown, added);
    await forget("local-image");
  });

  it("is taken by the classic builder, too, where a step is the same to both builders", async () => {
    const folder = await folderOf("both-builders");
    const steps = "FROM busybox\nARG MORE=more\nRUN echo $MORE > /made && echo added\n";
    await writeFile(path.join(folder, "Dockerfile"), steps);
    await build(folder, ["-t", "local-image", "--build-arg", "BUILDKIT_INLINE_CACHE=1"]);
    await bed.engine.docker(["builder", "prune", "--all", "--force"]);

    const from = ["--cache-from", "local-image", "--cache-from", "no-such"];
    const classic = ["build", ...from, "-t", "classic", "."];
    const ran = await docker(folder, classic, { DOCKER_BUILDKIT: "0" });
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, /RUN echo \$MORE [^\n]*\n ---> Using cache/);
    await forget("local-image", "classic");
  });

  it("is told of when it can't be used, and the image is built all the same", async () => {
    const folder = await folderOf("without");
    const shown = await build(folder, ["--cache-from", "type=registry,ref=busybox"]);
    assert.match(shown, /ERROR: failed to configure inline cache importer: .* has no cache/);
    await bed.engine.docker(["builder", "prune", "--all", "--force"]);
  });
});

describe("a cache in a registry", () => {
  it("has with mode=max every step, and leaves no image where it is made or used", async () => {
    const folder = await folderOf("registry");
    const ref = `${registry.host}/caches/registry:cache`;
    const before = await images();
    const to = ["-o", "type=cacheonly", "--cache-to", `type=registry,ref=${ref},mode=max`];
    assert.match(await build(folder, to), /exporting cache to registry\n/);
    await forget();
    const from = ["--cache-from", `type=registry,ref=${ref}`];
    const shown = await build(folder, ["-o", "type=cacheonly", "--build-arg", "MORE=x", ...from]);
    assert.doesNotMatch(shown, worked);
    assert.match(shown, added);
    assert.equal(await images(), before);
    await forget();
  });

  it("fails the build when it can't be written, unless the client says that errors don't matter", async () => {
    const folder = await folderOf("unwritable");
    const to = "type=registry,ref=127.0.0.1:1/none:cache";
    const failed = await docker(folder, ["build", "--cache-to", to, "."]);
    assert.equal(failed.code, 1, failed.stderr);
    assert.match(failed.stderr, /connection refused/);
    await build(folder, ["-t", "kept", "--cache-to", `${to},ignore-error=true`]);
    await forget("kept");
  });
});

describe("a cache in a folder of the client", () => {
  it("has with mode=max every step, and gives the same image on an engine that has none", async () => {
    const folder = await folderOf("folder");
    const cache = path.join(bed.engine.root, "cache-max");
    const first = await build(folder, [
      "-t",
      "first",
      "--provenance=false",
      "--cache-to",
      `type=local,dest=${cache},mode=max`,
    ]);
    assert.match(
      first,
      /exporting cache to client directory\n#\d+ preparing build cache for export/,
    );
    const id = await bed.engine.docker(["inspect", "first", "--format", "{{.Id}}"]);
    await forget("first");
    await bed.engine.docker(["image", "prune", "--force"]);
    const before = await images();
    const from = ["--cache-from", `type=local,src=${cache}`];
    await build(folder, ["-o", "type=cacheonly", ...from]);
    // What nothing keeps is collected now; the records keep their blobs.
    await bed.engine.docker(["image", "prune", "--force"]);
    const shown = await build(folder, ["-t", "again", "--provenance=false", ...from]);
    assert.doesNotMatch(shown, worked);
    assert.doesNotMatch(shown, added);
    assert.equal(await bed.engine.docker(["inspect", "again", "--format", "{{.Id}}"]), id);
    assert.equal(await bed.engine.docker(["run", "--rm", "again"]), "from the source\nmore");
    await forget("again");
    assert.equal(await images(), before);

    // A later step of the result is done anew; the other stage's still comes from the cache.
    const other = await build(folder, ["--build-arg", "MORE=other", ...from]);
    assert.doesNotMatch(other, worked);
    assert.match(other, added);
    await bed.engine.docker(["builder", "prune", "--all", "--force"]);
  });

  it("has with mode=min the result's steps only", async () => {
    const folder = await folderOf("folder-min");
    const cache = path.join(bed.engine.root, "cache-min");
    await build(folder, ["--cache-to", `type=local,dest=${cache}`]);
    await bed.engine.docker(["builder", "prune", "--all", "--force"]);
    const from = ["--cache-from", `type=local,src=${cache}`];
    assert.doesNotMatch(await build(folder, from), added);
    await bed.engine.docker(["builder", "prune", "--all", "--force"]);
    const index = JSON.parse(await readFile(path.join(cache, "index.json"), "utf8")) as {
      manifests: { digest: string; size: number }[];
    };
    assert.equal(index.manifests.length, 1);
    const max = await readdir(path.join(bed.engine.root, "cache-max", "blobs/sha256"));
    const min = await readdir(path.join(cache, "blobs/sha256"));
    assert.ok(
      min.length < max.length,
      `${String(min.length)} blobs, with max ${String(max.length)}`,
    );
  });

  it("is refused when a blob of it is another, and the image is built all the same", async () => {
    const folder = await folderOf("folder-bad");
    const cache = path.join(bed.engine.root, "cache-max");
    const blobs = path.join(cache, "blobs/sha256");
    const layers: string[] = [];
    for (const name of await readdir(blobs)) {
      const bytes = await readFile(path.join(blobs, name));
      if (bytes[0] !== "{".charCodeAt(0)) layers.push(name);
    }
    for (const name of layers) await writeFile(path.join(blobs, name), "no layer");
    await bed.engine.docker(["image", "prune", "--force"]);
    await untilPasses(async () => {
      const stored = await readdir(path.join(bed.engine.dataRoot, "image-service"), {
        recursive: true,
      });
      const left = layers.filter((name) => stored.some((file) => file.endsWith(name)));
      // The one of busybox, which is an image.
      assert.equal(left.length, 1, left.join());
    });
    const shown = await build(folder, ["--cache-from", `type=local,src=${cache}`]);
    assert.match(shown, /importing cache manifest from [^\n]*\n#\d+ ERROR: /);
    assert.match(shown, worked);
  });
});
