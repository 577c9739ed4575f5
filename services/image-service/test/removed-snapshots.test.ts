/** What reads a snapshot's tree while the snapshot goes: told as not found, never a half-deleted tree taken for the whole. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { load, openImageService, type TestService } from "./image-client.ts";
import { archiveOf, twoLayers } from "./sample-images.ts";

/** Reading so many takes longer than renaming one folder. */
const folders = 200;
const filesEach = 10;

interface Written {
  readonly imageId: string;
  readonly manifest: string;
}

async function writtenSnapshot(service: TestService): Promise<Written> {
  await load(service, await archiveOf(await twoLayers(), "demo:1"));
  const { image, chainId } = await service.images.resolveImage({
    image: "demo:1",
    leaseOwner: "c1",
  });
  const { mount } = await service.snapshots.prepareSnapshot({
    key: "c1",
    parentChainId: chainId,
    leaseOwner: "c1",
  });
  for (let folder = 0; folder < folders; folder += 1) {
    const directory = path.join(mount?.upperDir ?? "", String(folder));
    mkdirSync(directory);
    for (let file = 0; file < filesEach; file += 1) {
      writeFileSync(path.join(directory, String(file)), "text");
    }
  }
  return { imageId: image?.id ?? "", manifest: image?.manifest?.digest ?? "" };
}

const isGone = /snapshot c1 not found/;

describe("a snapshot that is removed while it is read", () => {
  it("has no usage", async () => {
    await using service = await openImageService();
    await writtenSnapshot(service);
    const asked = service.snapshots.getUsage({ key: "c1" });
    const removed = service.snapshots.removeSnapshot({ key: "c1" });
    await assert.rejects(asked, isGone);
    await removed;
  });

  it("has no changes", async () => {
    await using service = await openImageService();
    await writtenSnapshot(service);
    const asked = service.snapshots.listSnapshotChanges({ key: "c1" });
    const removed = service.snapshots.removeSnapshot({ key: "c1" });
    await assert.rejects(asked, isGone);
    await removed;
  });

  it("becomes no layer of a build, neither in place nor as a copy", async () => {
    for (const keep of [false, true]) {
      await using service = await openImageService();
      await writtenSnapshot(service);
      const asked = service.snapshots.commitSnapshot({
        key: "c1",
        layerKey: "build/1",
        leaseOwner: "build",
        keep,
      });
      const removed = service.snapshots.removeSnapshot({ key: "c1" });
      await assert.rejects(asked, isGone);
      await removed;
      const { snapshots } = await service.snapshots.listSnapshots({ layers: true });
      assert.deepEqual(
        snapshots.filter(({ key }) => key.startsWith("build/")),
        [],
      );
    }
  });

  it("becomes no image", async () => {
    await using service = await openImageService();
    const { imageId, manifest } = await writtenSnapshot(service);
    const asked = service.images.commitImage({
      snapshotKey: "c1",
      parentImage: imageId,
      parentManifest: manifest,
      repository: "committed",
    });
    const removed = service.snapshots.removeSnapshot({ key: "c1" });
    await assert.rejects(asked, isGone);
    await removed;
    const { images } = await service.images.listImages({});
    assert.deepEqual(
      images.map(({ repoTags }) => repoTags),
      [["demo:1"]],
    );
  });
});
