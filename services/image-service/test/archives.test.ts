import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { makeDockerArchive } from "@gantry/testkit/image-maker";
import { extract } from "tar-stream";
import { load, openImageService, save, textOf } from "./image-client.ts";
import { archiveOf, oneLayer, twoLayers } from "./sample-images.ts";

async function membersOf(archive: Uint8Array): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  const reader = extract();
  reader.end(archive);
  for await (const entry of reader) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry as AsyncIterable<Buffer>) chunks.push(chunk);
    found.set(entry.header.name, Buffer.concat(chunks));
  }
  return found;
}

const compressions: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array>> = {
  gzip: (bytes) => gzipSync(bytes),
  "gzip of two members": (bytes) =>
    Buffer.concat([gzipSync(bytes.subarray(0, 1500)), gzipSync(bytes.subarray(1500))]),
  zstd: (bytes) => zstdCompressSync(bytes),
  xz: (bytes) => execFileSync("xz", ["-c"], { input: bytes }),
  bzip2: (bytes) => execFileSync("bzip2", ["-c"], { input: bytes }),
};

describe("a saved archive", () => {
  it("is a docker-archive and an OCI layout at once, and both say the same", async () => {
    await using service = await openImageService();
    await load(service, await archiveOf(await twoLayers(), "one:1", "two:2"));
    await load(service, await archiveOf(await oneLayer("third"), "third:3"));
    const members = await membersOf(await save(service, ["one:1", "two:2", "third:3"]));
    const json = (name: string): unknown => JSON.parse(members.get(name)?.toString() ?? "");
    assert.deepEqual(json("oci-layout"), { imageLayoutVersion: "1.0.0" });
    const index = json("index.json") as {
      manifests: { digest: string; annotations: Record<string, string> }[];
    };
    const { images } = await service.images.listImages({});
    const named = index.manifests.map(({ digest, annotations }) => [
      annotations["io.containerd.image.name"],
      digest,
    ]);
    assert.deepEqual(
      named.sort(),
      images
        .flatMap(({ id, repoTags }) => repoTags.map((tag) => [`docker.io/library/${tag}`, id]))
        .sort(),
    );
    const archived = json("manifest.json") as {
      Config: string;
      RepoTags: string[];
      Layers: string[];
    }[];
    assert.deepEqual(
      archived.flatMap(({ RepoTags }) => RepoTags),
      ["one:1", "two:2", "third:3"],
    );
    for (const { Config, Layers } of archived) {
      for (const name of [Config, ...Layers]) assert.ok(members.has(name), name);
    }
  });

  it("has every tag of a repository whose name alone is asked for", async () => {
    await using service = await openImageService();
    await load(service, await archiveOf(await twoLayers(), "many:b", "many:a", "many/more:a"));
    await load(service, await archiveOf(await oneLayer("third"), "many:c", "other:1"));
    const members = await membersOf(await save(service, ["many", "other"]));
    const index = JSON.parse(members.get("index.json")?.toString() ?? "") as {
      manifests: { annotations: Record<string, string> }[];
    };
    assert.deepEqual(
      index.manifests.map(({ annotations }) => annotations["io.containerd.image.name"]),
      ["many:a", "many:b", "many:c", "other:1"].map((name) => `docker.io/library/${name}`),
    );
    const { image } = await service.images.inspectImage({ image: "other:1" });
    const nameless = await membersOf(await save(service, [`other@${image?.id ?? ""}`]));
    const [entry] = (
      JSON.parse(nameless.get("index.json")?.toString() ?? "") as { manifests: object[] }
    ).manifests;
    assert.deepEqual(Object.keys(entry ?? {}), ["mediaType", "digest", "size"]);
    await assert.rejects(save(service, ["man"]), {
      kind: "not_found",
      message: "No such image: man:latest",
    });
  });

  it("is loaded whatever it is compressed with", async () => {
    await using service = await openImageService();
    await load(service, await archiveOf(await twoLayers(), "one:1"));
    const archive = await save(service, ["one:1"]);
    const { image } = await service.images.inspectImage({ image: "one:1" });
    for (const [name, compress] of Object.entries(compressions)) {
      await service.images.removeImage({ image: "one:1" });
      assert.equal(textOf(await load(service, compress(archive))), "Loaded image: one:1\n", name);
      const again = await service.images.inspectImage({ image: "one:1" });
      assert.equal(again.image?.id, image?.id, name);
    }
    for (const [name, compress] of Object.entries(compressions)) {
      const cut = compress(archive).subarray(0, 300);
      await assert.rejects(load(service, cut), { kind: "invalid_argument" }, name);
    }
  });

  it("may hold several images that share layers", async () => {
    await using service = await openImageService();
    const [one, other] = [await twoLayers(), await twoLayers({ Cmd: ["/other"] })];
    const archive = await makeDockerArchive([
      { image: one, tags: ["one:1"] },
      { image: other, tags: [] },
    ]);
    const words = textOf(await load(service, archive)).split("\n");
    assert.equal(words[0], "Loaded image: one:1");
    assert.match(words[1] ?? "", /^Loaded image ID: sha256:[0-9a-f]{64}$/);
    const { images } = await service.images.listImages({ sharedSize: true });
    assert.equal(images.length, 2);
    assert.ok(images.every(({ sharedSizeBytes }) => sharedSizeBytes > 0n));
  });
});
