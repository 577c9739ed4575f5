import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openTempDir } from "@gantry/fs";
import type { ProgressMessage } from "@gantry/proto/image";
import { putImage } from "@gantry/testkit/image-maker";
import { type Registry, startRegistry } from "@gantry/testkit/registry";
import { load, openImageService, type TestService } from "./image-client.ts";
import { archiveOf, oneLayer, twoLayers } from "./sample-images.ts";

async function collect(
  responses: AsyncIterable<{ readonly progress?: ProgressMessage | undefined }>,
): Promise<ProgressMessage[]> {
  const found: ProgressMessage[] = [];
  for await (const { progress } of responses) if (progress !== undefined) found.push(progress);
  return found;
}

const statuses = (progress: readonly ProgressMessage[]): string[] =>
  progress.map(({ status }) => status);

async function withRegistry(
  run: (registry: Registry, service: TestService) => Promise<void>,
): Promise<void> {
  await using dir = await openTempDir("gantry-reg-", "/tmp");
  await using registry = await startRegistry({ dir: dir.path });
  await using service = await openImageService();
  await run(registry, service);
}

describe("pull", () => {
  it("fetches, unpacks and names an image, with Docker's words", () =>
    withRegistry(async ({ host }, service) => {
      const image = await twoLayers();
      await putImage(host, "a/demo", "1", image);
      const progress = await collect(
        service.images.pullImage({ reference: `${host}/a/demo`, tag: "1" }),
      );
      const words = statuses(progress);
      assert.equal(words[0], "Pulling from a/demo");
      assert.equal(progress[0]?.id, "1");
      for (const word of [
        "Pulling fs layer",
        "Downloading",
        "Verifying Checksum",
        "Download complete",
        "Extracting",
        "Pull complete",
      ]) {
        assert.equal(
          new Set(progress.filter(({ status }) => status === word).map(({ id }) => id)).size,
          2,
          word,
        );
      }
      assert.deepEqual(words.slice(-2), [
        `Digest: ${image.manifestDigest}`,
        `Status: Downloaded newer image for ${host}/a/demo:1`,
      ]);
      const { image: found } = await service.images.inspectImage({ image: `${host}/a/demo:1` });
      assert.equal(found?.id, image.manifestDigest);
      assert.deepEqual(found?.repoDigests, [`${host}/a/demo@${image.manifestDigest}`]);

      const again = await collect(
        service.images.pullImage({ reference: `${host}/a/demo`, tag: "1" }),
      );
      assert.equal(statuses(again).at(-1), `Status: Image is up to date for ${host}/a/demo:1`);
    }));

  it("says nothing of the layers of an image that is there by another name", () =>
    withRegistry(async ({ host }, service) => {
      const image = await twoLayers();
      for (const tag of ["1", "2"]) await putImage(host, "demo", tag, image);
      const pull = async (tag: string) =>
        statuses(await collect(service.images.pullImage({ reference: `${host}/demo`, tag })));
      await pull("1");
      assert.deepEqual(await pull("2"), [
        "Pulling from demo",
        `Digest: ${image.manifestDigest}`,
        `Status: Downloaded newer image for ${host}/demo:2`,
      ]);
    }));

  it("tells refusals before the first message, as kinds with Docker's words", () =>
    withRegistry(async ({ host }, service) => {
      await putImage(host, "demo", "1", await oneLayer("x"));
      await assert.rejects(
        collect(service.images.pullImage({ reference: `${host}/demo`, tag: "nope" })),
        {
          kind: "not_found",
          message: /^manifest for 127\.0\.0\.1:\d+\/demo:nope not found: manifest unknown/,
        },
      );
      await assert.rejects(
        collect(
          service.images.pullImage({
            reference: `${host}/demo`,
            tag: "1",
            platform: { os: "linux", architecture: "s390x" },
          }),
        ),
        { kind: "not_found" },
      );
      await assert.rejects(collect(service.images.pullImage({ reference: "127.0.0.1:1/x" })), {
        kind: "internal",
        message: 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
      });
      await assert.rejects(collect(service.images.pullImage({ reference: "scratch" })), {
        kind: "permission_denied",
        message: "'scratch' is a reserved name",
      });
    }));

  it("pulls by digest and all tags", () =>
    withRegistry(async ({ host }, service) => {
      const [one, two] = [await oneLayer("one"), await oneLayer("two")];
      await putImage(host, "demo", "1", one);
      await putImage(host, "demo", "2", two);
      await collect(
        service.images.pullImage({ reference: `${host}/demo`, tag: one.manifestDigest }),
      );
      const { images } = await service.images.listImages({});
      assert.deepEqual(images[0]?.repoTags, []);
      assert.deepEqual(images[0]?.repoDigests, [`${host}/demo@${one.manifestDigest}`]);
      await collect(service.images.pullImage({ reference: `${host}/demo`, allTags: true }));
      const all = (await service.images.listImages({})).images.flatMap(({ repoTags }) => repoTags);
      assert.deepEqual(all.sort(), [`${host}/demo:1`, `${host}/demo:2`]);
    }));
});

describe("push", () => {
  it("sends what it loaded; the same bytes come back", () =>
    withRegistry(async ({ host }, service) => {
      await load(service, await archiveOf(await twoLayers(), `${host}/pushed:1`));
      const { image } = await service.images.inspectImage({ image: `${host}/pushed:1` });
      const progress = await collect(
        service.images.pushImage({ reference: `${host}/pushed`, tag: "1" }),
      );
      assert.equal(progress[0]?.status, `The push refers to repository [${host}/pushed]`);
      assert.equal(progress.filter(({ status }) => status === "Pushed").length, 2);
      assert.match(
        progress.at(-1)?.status ?? "",
        new RegExp(`^1: digest: ${image?.id} size: \\d+$`),
      );
      const again = await collect(
        service.images.pushImage({ reference: `${host}/pushed`, tag: "1" }),
      );
      assert.equal(again.filter(({ status }) => status === "Layer already exists").length, 2);

      await service.images.tagImage({
        image: `${host}/pushed:1`,
        repository: `${host}/other`,
        tag: "2",
      });
      const mounted = await collect(
        service.images.pushImage({ reference: `${host}/other`, tag: "2" }),
      );
      assert.equal(mounted.filter(({ status }) => status === "Mounted from pushed").length, 2);

      await service.images.removeImage({ image: image?.id ?? "", force: true });
      await collect(service.images.pullImage({ reference: `${host}/other`, tag: "2" }));
      const back = await service.images.inspectImage({ image: `${host}/other:2` });
      assert.equal(back.image?.id, image?.id);
    }));
});
