import assert from "node:assert/strict";
import { lstatSync, readFileSync, statSync, truncateSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { makeImage, makeLayer } from "@gantry/testkit/image-maker";
import { onDisk } from "./disk.ts";
import { serveImage, startFakeRegistry } from "./fake-registry.ts";
import { load, openImageService, type TestService } from "./image-client.ts";
import { archiveOf, twoLayers } from "./sample-images.ts";

async function lowerDirs(service: TestService, image: string, key: string): Promise<string[]> {
  const { chainId } = await service.images.resolveImage({ image });
  const { mount } = await service.snapshots.prepareSnapshot({ key, parentChainId: chainId });
  return [...(mount?.lowerDirs ?? [])];
}

describe("layers of one image", () => {
  it("are unpacked side by side, and take over what they leave out from those below", async () => {
    await using registry = await startFakeRegistry();
    const mtime = new Date(1_600_000_000_000);
    const image = makeImage({
      layers: [
        await makeLayer([
          { header: { name: "./", type: "directory", mode: 0o711, uid: 3, gid: 4, mtime } },
          { header: { name: "srv/", type: "directory", mode: 0o2750, uid: 5, gid: 6, mtime } },
          { header: { name: "srv/deep/", type: "directory", mode: 0o700, uid: 7, gid: 8, mtime } },
        ]),
        await makeLayer([{ header: { name: "srv/deep/file", mode: 0o644 }, content: "second" }]),
        await makeLayer([{ header: { name: "srv/other/file", mode: 0o644 }, content: "third" }]),
      ],
    });
    serveImage(registry, "1", image);
    const [first = ""] = image.blobs.keys();
    const gate = Promise.withResolvers<undefined>();
    registry.answer = async ({ url }) => {
      if ((url ?? "").endsWith(first)) await gate.promise;
      return false;
    };
    await using service = await openImageService();
    const words: string[] = [];
    const layers = [...image.blobs.keys()].slice(0, 3).map((digest) => digest.slice(7, 19));
    for await (const { progress } of service.images.pullImage({
      reference: `${registry.host}/demo`,
      tag: "1",
    })) {
      if (progress === undefined) continue;
      words.push(`${layers.indexOf(progress.id)} ${progress.status}`);
      // The lowest layer has not begun to arrive: the next one is unpacked all the same.
      if (words.at(-1) === "1 Extracting") gate.resolve(undefined);
    }
    assert.deepEqual(
      words.filter((word) => word.endsWith("Pull complete")),
      ["0 Pull complete", "1 Pull complete", "2 Pull complete"],
    );
    const [third = "", second = "", lowest = ""] = await lowerDirs(
      service,
      `${registry.host}/demo:1`,
      "c1",
    );
    const look = (file: string) => {
      const { mode, uid, gid, mtimeMs } = lstatSync(file);
      return { mode: mode & 0o7777, uid, gid, mtimeMs };
    };
    for (const name of ["", "srv", "srv/deep"]) {
      assert.deepEqual(look(path.join(second, name)), look(path.join(lowest, name)), name);
    }
    for (const name of ["", "srv"]) {
      assert.deepEqual(look(path.join(third, name)), look(path.join(lowest, name)), name);
    }
    assert.deepEqual(
      { ...look(path.join(third, "srv/other")), mtimeMs: 0 },
      { mode: 0o755, uid: 0, gid: 0, mtimeMs: 0 },
    );
    // A file is its own: a set-group-id directory below does not give it its group.
    assert.equal(statSync(path.join(third, "srv/other/file")).gid, 0);
  });

  it("leave nothing of themselves when one of them is broken", async () => {
    await using registry = await startFakeRegistry();
    const good = await twoLayers();
    const image = { ...good, blobs: new Map(good.blobs) };
    serveImage(registry, "1", image);
    const [lowest = ""] = image.blobs.keys();
    registry.blobs.set(lowest, Buffer.alloc(registry.blobs.get(lowest)?.length ?? 0, 7));
    await using service = await openImageService();
    const pull = async (): Promise<void> => {
      const request = { reference: `${registry.host}/demo`, tag: "1" };
      for await (const { progress } of service.images.pullImage(request)) assert.ok(progress);
    };
    await assert.rejects(pull(), { kind: "invalid_argument" });
    await eventually(() => {
      assert.deepEqual(onDisk(service.dataDir).snapshots, []);
      return true;
    });
    serveImage(registry, "1", good);
    await pull();
    assert.equal((await lowerDirs(service, `${registry.host}/demo:1`, "c1")).length, 3);
  });
});

describe("a power cut", () => {
  it("costs no layer: what was not synced is unpacked anew, also below a container", async () => {
    await using service = await openImageService();
    await load(service, await archiveOf(await twoLayers(), "demo:1"));
    const [upper = ""] = await lowerDirs(service, "demo:1", "c1");
    using db = new DatabaseSync(path.join(service.dataDir, "metadata.db"));
    const unsynced = () =>
      db.prepare("SELECT id FROM snapshots WHERE kind = 'layer' AND unsynced_boot <> ''").all();
    await eventually(() => unsynced().length === 0 || undefined);
    // As if the power had gone before: the row of an earlier boot, and a file cut short.
    db.exec("UPDATE snapshots SET unsynced_boot = 'an earlier boot' WHERE kind = 'layer'");
    truncateSync(path.join(upper, "etc/changed"), 1);
    await service.restart();
    const { mount } = await service.snapshots.getMounts({ key: "c1" });
    assert.equal(mount?.lowerDirs.length, 3);
    assert.notEqual(mount.lowerDirs[0], upper);
    assert.equal(readFileSync(path.join(mount.lowerDirs[0] ?? "", "etc/changed"), "utf8"), "new");
    assert.match(service.process.log(), /not synced before the machine went down/);
    await eventually(() => unsynced().length === 0 || undefined);
    await service.restart();
    assert.deepEqual((await service.snapshots.getMounts({ key: "c1" })).mount, mount);
  });
});
