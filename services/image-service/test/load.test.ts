import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { makeLayer } from "@gantry/testkit/image-maker";
import { emptyDisk, onDisk } from "./disk.ts";
import { load, openImageService, save, textOf, upload } from "./image-client.ts";
import { archiveOf, oneLayer, twoLayers } from "./sample-images.ts";

const tarOf = (files: Readonly<Record<string, string>>): Promise<Uint8Array> =>
  makeLayer(Object.entries(files).map(([name, content]) => ({ header: { name }, content })));

describe("load", () => {
  it("takes a docker-archive, unpacks it and tells its name", async () => {
    await using service = await openImageService();
    const progress = await load(service, await archiveOf(await twoLayers(), "demo:1"));
    assert.equal(textOf(progress), "Loaded image: demo:1\n");
    const { images } = await service.images.listImages({});
    assert.equal(images.length, 1);
    assert.deepEqual(images[0]?.repoTags, ["demo:1"]);
    assert.deepEqual(images[0]?.repoDigests, [`demo@${images[0]?.id ?? ""}`]);
    assert.deepEqual(images[0]?.labels, { maker: "test" });
    assert.equal(images[0]?.diffIds.length, 2);
  });

  it("makes the same image of the same archive, however compressed", async () => {
    await using service = await openImageService();
    const archive = await archiveOf(await twoLayers(), "demo:1");
    const ids: string[] = [];
    for (const bytes of [archive, gzipSync(archive), zstdCompressSync(archive)]) {
      await load(service, bytes);
      const { images } = await service.images.listImages({});
      ids.push(images.map(({ id }) => id).join());
    }
    assert.equal(new Set(ids).size, 1);
  });

  it("takes documents whose schema nobody named, and lists that Go writes as null", async () => {
    await using service = await openImageService();
    const blobs: Record<string, string> = {};
    const put = (mediaType: string, value: object): object => {
      const bytes = JSON.stringify(value);
      const hex = createHash("sha256").update(bytes).digest("hex");
      blobs[`blobs/sha256/${hex}`] = bytes;
      return { mediaType, digest: `sha256:${hex}`, size: Buffer.byteLength(bytes) };
    };
    const config = put("application/vnd.oci.image.config.v1+json", {
      ...{ os: "linux", architecture: "amd64", config: {} },
      rootfs: { type: "layers", diff_ids: null },
    });
    const mediaType = "application/vnd.oci.image.manifest.v1+json";
    const manifest = put(mediaType, { schemaVersion: 0, mediaType, config, layers: [] });
    const archive = await tarOf({
      ...blobs,
      "oci-layout": JSON.stringify({ imageLayoutVersion: "1.0.0" }),
      "index.json": JSON.stringify({ schemaVersion: 2, manifests: [manifest] }),
    });
    assert.match(textOf(await load(service, archive)), /^Loaded image ID: sha256:/);
    const { images } = await service.images.listImages({});
    assert.deepEqual([images[0]?.repoTags, images[0]?.diffIds], [[], []]);
    const [configName = ""] = Object.keys(blobs);
    const old = await tarOf({
      ...blobs,
      "manifest.json": JSON.stringify([{ Config: configName, RepoTags: null, Layers: null }]),
    });
    assert.match(textOf(await load(service, old)), /^Loaded image ID: sha256:/);
  });

  it("loads what it saved, byte for byte the same image", async () => {
    await using service = await openImageService();
    await load(service, await archiveOf(await twoLayers(), "demo:1", "other/name:2"));
    const first = await service.images.inspectImage({ image: "demo:1" });
    const archive = await save(service, ["demo:1", "other/name:2"]);
    assert.deepEqual(await save(service, ["demo:1", "other/name:2"]), archive);
    await service.images.removeImage({ image: first.image?.id ?? "", force: true });
    assert.deepEqual((await service.images.listImages({})).images, []);
    assert.equal(
      textOf(await load(service, archive)),
      "Loaded image: demo:1\nLoaded image: other/name:2\n",
    );
    const again = await service.images.inspectImage({ image: "other/name:2" });
    assert.equal(again.image?.id, first.image?.id);
  });

  it("refuses what is no image archive and leaves nothing behind", async () => {
    await using service = await openImageService();
    const whole = await archiveOf(await oneLayer("cut"), "cut:1");
    await assert.rejects(load(service, whole.subarray(0, 1000)), { kind: "invalid_argument" });
    await assert.rejects(load(service, Buffer.from("not an archive".repeat(100))), {
      kind: "invalid_argument",
    });
    const image = await oneLayer("x");
    const broken = { ...image, blobs: new Map([...image.blobs].slice(1)) };
    await assert.rejects(load(service, await archiveOf(broken, "broken:1")), {
      kind: "invalid_argument",
      message: /not found/,
    });
    assert.deepEqual((await service.images.listImages({})).images, []);
    await service.restart("SIGTERM");
    assert.deepEqual(onDisk(service.dataDir), emptyDisk);
  });

  it("survives kill -9 with all images", async () => {
    await using service = await openImageService();
    await load(service, await archiveOf(await twoLayers(), "demo:1"));
    const before = await service.images.resolveImage({ image: "demo:1" });
    await service.restart("SIGKILL");
    assert.deepEqual(await service.images.resolveImage({ image: "demo:1" }), before);
  });
});

describe("snapshots", () => {
  it("describes an overlay of the image's layers, uppermost first", async () => {
    await using service = await openImageService();
    await load(service, await archiveOf(await twoLayers(), "demo:1"));
    const { chainId, image } = await service.images.resolveImage({
      image: "demo:1",
      leaseOwner: "c1",
    });
    assert.equal(
      JSON.parse(Buffer.from(image?.configJson ?? []).toString()).config.Cmd[0],
      "/bin/tool",
    );
    const { mount } = await service.snapshots.prepareSnapshot({
      key: "c1",
      parentChainId: chainId,
      leaseOwner: "c1",
    });
    assert.ok(mount);
    assert.equal(mount.lowerDirs.length, 3);
    const [upper = "", lower = "", base = ""] = mount.lowerDirs;
    assert.deepEqual(readdirSync(base), [".dockerenv", "dev", "etc", "proc", "sys"]);
    assert.equal(readFileSync(path.join(upper, "etc/changed"), "utf8"), "new");
    assert.equal(readFileSync(path.join(lower, "etc/changed"), "utf8"), "old");
    assert.equal(statSync(path.join(upper, "bin/tool")).mode & 0o7777, 0o4755);
    const whiteout = statSync(path.join(upper, "etc/gone"));
    assert.ok(whiteout.isCharacterDevice() && whiteout.rdev === 0);
    for (const dir of [mount.upperDir, mount.workDir, mount.mountpoint]) assert.ok(existsSync(dir));

    const again = await service.snapshots.prepareSnapshot({
      key: "c1",
      parentChainId: chainId,
      leaseOwner: "c1",
    });
    assert.deepEqual(again.mount, mount);
    await assert.rejects(service.snapshots.prepareSnapshot({ key: "c1" }), {
      kind: "already_exists",
    });
    await assert.rejects(
      service.snapshots.prepareSnapshot({ key: "c2", parentChainId: `sha256:${"0".repeat(64)}` }),
      { kind: "not_found" },
    );
    await service.snapshots.removeSnapshot({ key: "c1" });
    await service.snapshots.removeSnapshot({ key: "c1" });
    assert.equal(existsSync(mount.upperDir), false);
    await assert.rejects(service.snapshots.getMounts({ key: "c1" }), { kind: "not_found" });
  });

  it("keeps the layers of a removed image while a lease needs them", async () => {
    await using service = await openImageService();
    await load(service, await archiveOf(await twoLayers(), "demo:1"));
    const { chainId } = await service.images.resolveImage({ image: "demo:1", leaseOwner: "c1" });
    const { mount } = await service.snapshots.prepareSnapshot({
      key: "c1",
      parentChainId: chainId,
      leaseOwner: "c1",
    });
    await service.images.removeImage({ image: "demo:1", force: true });
    for (const dir of mount?.lowerDirs ?? []) assert.ok(existsSync(dir));
    assert.deepEqual((await service.images.listImages({})).images, []);
    await service.content.releaseLease({ owner: "c1" });
    await service.restart("SIGTERM");
    assert.deepEqual(onDisk(service.dataDir), emptyDisk);
  });

  it("lists what changed, as docker diff does", async () => {
    await using service = await openImageService();
    await load(service, await archiveOf(await twoLayers(), "demo:1"));
    const { chainId } = await service.images.resolveImage({ image: "demo:1" });
    await service.snapshots.prepareSnapshot({ key: "c1", parentChainId: chainId });
    const { changes } = await service.snapshots.listSnapshotChanges({ key: "c1" });
    assert.deepEqual(changes, []);
    const usage = await service.snapshots.getUsage({ key: "c1" });
    assert.equal(usage.inodes, 1n);
    assert.ok(usage.totalSizeBytes > usage.sizeBytes);
  });
});

describe("import", () => {
  it("makes an image of a tar, with changes applied", async () => {
    await using service = await openImageService();
    const image = await oneLayer("imported");
    const tar = [...image.blobs.values()][0] ?? new Uint8Array();
    const progress = await upload(
      service.images.importImage({
        repository: "imp",
        tag: "1",
        changes: ['CMD ["/x"]', "ENV A=b"],
      }),
      tar,
    );
    const { image: made } = await service.images.inspectImage({ image: "imp:1" });
    assert.equal(progress.at(-1)?.status, made?.id);
    const config = JSON.parse(Buffer.from(made?.configJson ?? []).toString());
    assert.deepEqual(config.config, { Cmd: ["/x"], Env: ["A=b"] });
    assert.deepEqual(config.rootfs.diff_ids, image.diffIds);
    await assert.rejects(upload(service.images.importImage({ changes: ["RUN x"] }), tar), {
      kind: "invalid_argument",
      message: "RUN is not a valid change command",
    });
  });
});
