/** Images that know what they were made of: steps of classic builds, and commits. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { openImageService, type TestService } from "./image-client.ts";

interface Step {
  readonly config: Buffer;
  readonly manifest: Buffer;
  readonly id: string;
}

const sha256 = (bytes: Buffer): string =>
  `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** An image without layers that has so many steps. */
function step(count: number, branch = "a"): Step {
  const history = Array.from({ length: count }, (_each, index) => ({
    ...{ created: `2026-01-01T00:00:0${String(index)}Z`, created_by: `${branch} ${String(index)}` },
    empty_layer: true,
  }));
  const config = Buffer.from(
    JSON.stringify({
      ...{ created: history.at(-1)?.created, os: "linux", architecture: "amd64" },
      ...{ rootfs: { type: "layers", diff_ids: [] }, history, config: { Labels: { branch } } },
    }),
  );
  const manifest = Buffer.from(
    JSON.stringify({
      ...{ schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", layers: [] },
      config: {
        mediaType: "application/vnd.oci.image.config.v1+json",
        ...{ digest: sha256(config), size: config.length },
      },
    }),
  );
  return { config, manifest, id: sha256(manifest) };
}

/** Three images, each made of the one before it; the last one is called made:1. */
async function storeThree(service: TestService, branch = "a", name = "made:1"): Promise<string[]> {
  const steps = [1, 2, 3].map((count) => step(count, branch));
  const images = steps.map(({ config, manifest }, index) => ({
    ...{ config, manifest, parentId: steps[index - 1]?.id ?? "" },
  }));
  await service.images.storeStepImages({ images, namedId: steps[2]?.id ?? "", names: [name] });
  return steps.map(({ id }) => id);
}

async function listed(service: TestService, all: boolean, dangling?: string): Promise<string[]> {
  const filters = dangling === undefined ? {} : { dangling: { values: [dangling] } };
  const { images } = await service.images.listImages({ all, filters: { filters } });
  return images.map(({ id }) => id);
}

describe("images of steps", () => {
  it("know their parents, also for the next process, and have a history with their IDs", async () => {
    await using service = await openImageService();
    const [first = "", second = "", third = ""] = await storeThree(service);
    for (const process of ["the first", "the next"]) {
      const parents = [];
      for (const image of [first, second, third]) {
        parents.push((await service.images.inspectImage({ image })).image?.parentId);
      }
      assert.deepEqual(parents, ["", first, second], process);
      const { entries } = await service.images.getImageHistory({ image: "made:1" });
      assert.deepEqual(
        entries.map(({ id, tags }) => [id, tags]),
        [
          [third, ["made:1"]],
          [second, []],
          [first, []],
        ],
      );
      await service.restart();
    }
  });

  it("are listed when all are wanted; the others are the leaves", async () => {
    await using service = await openImageService();
    const [first = "", second = "", third = ""] = await storeThree(service);
    assert.deepEqual(await listed(service, false), [third]);
    assert.deepEqual(await listed(service, true), [third, second, first]);
    assert.deepEqual(await listed(service, false, "true"), []);
    assert.deepEqual(await listed(service, true, "true"), [second, first]);
  });

  it("are recorded once, with an event each, and the event tells of labels", async () => {
    await using service = await openImageService();
    const [, , third = ""] = await storeThree(service);
    await storeThree(service, "a", "made:2");
    const { image } = await service.images.inspectImage({ image: "made:2" });
    assert.deepEqual([image?.id, image?.repoTags], [third, ["made:1", "made:2"]]);
    const created: (string | undefined)[] = [];
    const untilNano = BigInt(Date.now()) * 1_000_000n + 1_000_000n;
    for await (const { event } of service.events.subscribe({ sinceNano: 1n, untilNano })) {
      if (event?.action === "create") created.push(event.attributes["branch"]);
    }
    assert.deepEqual(created, ["a", "a", "a"]);
  });

  it("go with the last child: not when they have a name, another child, or are to stay", async () => {
    await using service = await openImageService();
    const [first = "", second = "", third = ""] = await storeThree(service);
    const deleted = async (image: string, noPrune = false): Promise<string[]> => {
      const { removed } = await service.images.removeImage({ image, noPrune });
      return removed.map(({ deleted, untagged }) => deleted || untagged);
    };
    assert.deepEqual(await deleted("made:1"), ["made:1", third, second, first]);
    assert.deepEqual(await listed(service, true), []);

    await storeThree(service);
    assert.deepEqual(await deleted("made:1", true), ["made:1", third]);
    assert.deepEqual(await deleted(second), [second, first]);

    await storeThree(service);
    await service.images.tagImage({ image: second, repository: "mid", tag: "1" });
    assert.deepEqual(await deleted("made:1"), ["made:1", third]);
    assert.deepEqual(await deleted("mid:1"), ["mid:1", second, first]);

    await storeThree(service);
    const other = step(3, "b");
    const { config, manifest } = other;
    await service.images.storeStepImages({ images: [{ config, manifest, parentId: second }] });
    assert.deepEqual(await deleted(other.id), [other.id]);
    assert.deepEqual(await deleted("made:1"), ["made:1", third, second, first]);
  });

  it("lose only their name while something was made of them", async () => {
    await using service = await openImageService();
    const [, second = "", third = ""] = await storeThree(service);
    await service.images.tagImage({ image: second, repository: "mid", tag: "1" });
    const { removed } = await service.images.removeImage({ image: "mid:1" });
    assert.deepEqual(
      removed.map(({ untagged, deleted }) => [untagged, deleted]),
      [["mid:1", ""]],
    );
    const { image } = await service.images.inspectImage({ image: third });
    assert.equal(image?.parentId, second);
  });

  it("come back when they are removed while they get a name", async () => {
    await using service = await openImageService();
    const { config, manifest, id } = step(1);
    for (let round = 0; round < 30; round += 1) {
      await service.images.storeStepImages({ images: [{ config, manifest }] });
      const named = service.images.storeStepImages({
        images: [{ config, manifest }],
        namedId: id,
        names: ["made:1"],
      });
      const pruned = service.images.pruneImages({});
      await Promise.all([named, pruned]);
      const { image } = await service.images.inspectImage({ image: "made:1" });
      assert.equal(image?.id, id, `round ${String(round)}`);
      await service.images.removeImage({ image: "made:1" });
    }
  });

  it("are pruned as images without name, and their children's history says so", async () => {
    await using service = await openImageService();
    const [first = "", second = "", third = ""] = await storeThree(service);
    const { removed } = await service.images.pruneImages({});
    assert.deepEqual(
      removed.map(({ untagged, deleted }) => untagged || deleted),
      [second, second, first, first],
    );
    const { entries } = await service.images.getImageHistory({ image: "made:1" });
    assert.deepEqual(
      entries.map(({ id }) => id),
      [third, "<missing>", "<missing>"],
    );
  });

  it("are refused as a whole when a layer is missing or the documents do not belong together", async () => {
    await using service = await openImageService();
    const [good, other] = [step(1), step(2)];
    const document = JSON.parse(good.manifest.toString()) as { layers: object[] };
    const layer = { mediaType: "application/vnd.oci.image.layer.v1.tar", size: 3 };
    document.layers.push({ ...layer, digest: sha256(Buffer.from("abc")) });
    const lacking = { config: good.config, manifest: Buffer.from(JSON.stringify(document)) };
    const swapped = { config: other.config, manifest: good.manifest };
    for (const [bad, kind] of [
      [lacking, "not_found"],
      [swapped, "invalid_argument"],
    ] as const) {
      const images = [{ config: good.config, manifest: good.manifest }, bad];
      await assert.rejects(service.images.storeStepImages({ images }), { kind });
    }
    const named = { namedId: good.id, names: ["made:1"] };
    await assert.rejects(service.images.storeStepImages(named), { kind: "not_found" });
    assert.deepEqual(await listed(service, true), []);
  });
});
