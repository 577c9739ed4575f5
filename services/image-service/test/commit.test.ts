import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { load, openImageService } from "./image-client.ts";
import { archiveOf, oneLayer, twoLayers } from "./sample-images.ts";

describe("commit", () => {
  it("makes an image whose new layer is what changed", async () => {
    await using service = await openImageService();
    await load(service, await archiveOf(await twoLayers(), "demo:1"));
    const parent = await service.images.resolveImage({ image: "demo:1", leaseOwner: "c1" });
    const { mount } = await service.snapshots.prepareSnapshot({
      key: "c1",
      parentChainId: parent.chainId,
      leaseOwner: "c1",
    });
    assert.ok(mount);
    execFileSync("mount", [
      "-t",
      "overlay",
      "overlay",
      mount.mountpoint,
      "-o",
      `lowerdir=${mount.lowerDirs.join(":")},upperdir=${mount.upperDir},workdir=${mount.workDir}`,
    ]);
    try {
      writeFileSync(path.join(mount.mountpoint, "etc/added"), "added");
      rmSync(path.join(mount.mountpoint, "etc/keep"));
      rmSync(path.join(mount.mountpoint, "bin"), { recursive: true });
      mkdirSync(path.join(mount.mountpoint, "bin"));
    } finally {
      execFileSync("umount", [mount.mountpoint]);
    }
    const { changes } = await service.snapshots.listSnapshotChanges({ key: "c1" });
    assert.deepEqual(
      changes.map(({ path: changed, kind }) => `${"CAD".charAt(kind)} ${changed}`),
      ["C /bin", "D /bin/tool", "C /etc", "A /etc/added", "D /etc/keep"],
    );
    const { imageId } = await service.images.commitImage({
      snapshotKey: "c1",
      parentImage: parent.image?.id ?? "",
      parentManifest: parent.image?.manifest?.digest ?? "",
      configJson: Buffer.from(JSON.stringify({ Cmd: ["/x"] })),
      author: "me",
      comment: "changed",
      repository: "committed",
      changes: ["ENV A=1"],
    });
    const made = await service.images.resolveImage({ image: "committed" });
    assert.equal(made.image?.id, imageId);
    const config = JSON.parse(Buffer.from(made.image?.configJson ?? []).toString());
    assert.deepEqual(config.config, { Cmd: ["/x"], Env: ["A=1"] });
    assert.equal(config.author, "me");
    assert.equal(config.rootfs.diff_ids.length, 3);
    const view = await service.snapshots.viewSnapshot({ key: "v", chainId: made.chainId });
    const [top = ""] = view.mount?.lowerDirs ?? [];
    assert.equal(readFileSync(path.join(top, "etc/added"), "utf8"), "added");
    const { entries } = await service.images.getImageHistory({ image: "committed" });
    assert.equal(entries[0]?.comment, "changed");
    assert.equal(entries.length, 3);
  });
});

describe("removal", () => {
  it("is refused with Docker's words while containers use the image", async () => {
    await using service = await openImageService();
    await load(service, await archiveOf(await oneLayer("used"), "used:1", "also/used:1"));
    const { image } = await service.images.inspectImage({ image: "used:1" });
    const id = image?.id ?? "";
    const short = id.slice(7, 19);
    const containerId = "c".repeat(64);
    const remove = (name: string, force = false) =>
      service.images.removeImage({ image: name, force });
    await assert.rejects(remove(id), {
      kind: "conflict",
      message: `conflict: unable to delete ${short} (must be forced) - image is referenced in multiple repositories`,
    });
    assert.deepEqual(
      (await remove("also/used:1")).removed.map(({ untagged, deleted }) => untagged || deleted),
      ["also/used:1"],
    );
    await service.images.setImageUsers({ users: [{ containerId, imageId: id, running: true }] });
    await assert.rejects(remove("used:1"), {
      message: `conflict: unable to remove repository reference "used:1" (must force) - container cccccccccccc is using its referenced image ${short}`,
    });
    await assert.rejects(remove("used:1", true), {
      message: `conflict: unable to delete ${short} (cannot be forced) - image is being used by running container cccccccccccc`,
    });
    await service.images.setImageUsers({ users: [{ containerId, imageId: id, running: false }] });
    await assert.rejects(remove(short), {
      message: `conflict: unable to delete ${short} (must be forced) - image is being used by stopped container cccccccccccc`,
    });
    assert.deepEqual(
      (await remove(short, true)).removed.map(({ untagged, deleted }) => untagged || deleted),
      ["used:1", id],
    );
    await assert.rejects(remove("used:1"), { kind: "not_found", message: "No such image: used:1" });
  });
});

describe("lists", () => {
  it("filters, shares and prunes", async () => {
    await using service = await openImageService();
    await load(service, await archiveOf(await twoLayers(), "a/one:1", "a/one:2"));
    await load(service, await archiveOf(await twoLayers({ Labels: { other: "yes" } }), "two:1"));
    const list = async (filters: Record<string, string[]>): Promise<string[][]> => {
      const { images } = await service.images.listImages({
        filters: {
          filters: Object.fromEntries(
            Object.entries(filters).map(([k, values]) => [k, { values }]),
          ),
        },
        sharedSize: true,
      });
      return images.map(({ repoTags }) => repoTags);
    };
    assert.deepEqual(await list({ reference: ["a/*:2"] }), [["a/one:2"]]);
    assert.deepEqual(await list({ label: ["other=yes"] }), [["two:1"]]);
    assert.deepEqual(await list({ "label!": ["other"] }), [["a/one:1", "a/one:2"]]);
    assert.deepEqual(await list({ dangling: ["true"] }), []);
    assert.equal((await list({ until: ["2020-01-01"] })).length, 0);
    assert.equal((await list({ until: ["2030-01-01T00:00:00Z"] })).length, 2);
    await assert.rejects(list({ nonsense: ["1"] }), {
      kind: "invalid_argument",
      message: "invalid filter 'nonsense'",
    });
    await assert.rejects(list({ dangling: ["maybe"] }), { kind: "invalid_argument" });
    const { images, layersSizeBytes } = await service.images.getDiskUsage({});
    assert.ok(images.every(({ sharedSizeBytes }) => sharedSizeBytes > 0n));
    const du = Number(
      execFileSync("du", ["-scB1", "--exclude=base", "content/blobs/sha256", "snapshots"], {
        cwd: service.dataDir,
      })
        .toString()
        .trim()
        .split("\n")
        .at(-1)
        ?.split("\t")[0],
    );
    // The two folders themselves and the empty tree: three blocks.
    assert.ok(Math.abs(Number(layersSizeBytes) - du) <= 4 * 4096, `${layersSizeBytes} ${du}`);

    await load(service, await archiveOf(await oneLayer("new"), "two:1"));
    assert.equal((await list({ dangling: ["true"] })).length, 1);
    const pruned = await service.images.pruneImages({});
    // dockerd has a name for an image without name, and tells that it takes that away, too.
    const [unnamed, gone, ...others] = pruned.removed;
    assert.match(gone?.deleted ?? "", /^sha256:/);
    assert.deepEqual([unnamed?.untagged, others], [gone?.deleted, []]);
    const all = await service.images.pruneImages({
      filters: { filters: { dangling: { values: ["false"] } } },
    });
    assert.deepEqual(all.removed.flatMap(({ untagged }) => untagged || []).sort(), [
      "a/one:1",
      "a/one:2",
      "two:1",
    ]);
    assert.deepEqual(await list({}), []);
  });
});
