import assert from "node:assert/strict";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { openTempDir } from "@gantry/fs";
import { mediaTypes, sha256Digest } from "@gantry/oci";
import { eventually } from "@gantry/testkit";
import { putImage } from "@gantry/testkit/image-maker";
import { startRegistry } from "@gantry/testkit/registry";
import { emptyDisk, inTrash, onDisk } from "./disk.ts";
import { load, openImageService, save, type TestService, upload } from "./image-client.ts";
import { archiveOf, oneLayer, twoLayers } from "./sample-images.ts";

const isDeep = process.env["GANTRY_TEST_DEEP"] !== undefined;
const allSteps = Array.from({ length: 48 }, (_, index) => index + 1);

/** Steps at which the process is killed; GANTRY_TEST_DEEP asks for each one up to the last. */
const steps = isDeep ? allSteps : [2, 7, 12, 18];
/** The same, of what has fewer. */
const fewSteps = isDeep ? allSteps : [2, 9];

/** Every image that is listed can be run and saved, and no row lacks its files. */
async function assertSound(service: TestService): Promise<void> {
  const { images } = await service.images.listImages({ all: true });
  for (const { id } of images) {
    await service.images.resolveImage({ image: id });
    assert.ok((await save(service, [id])).length > 0);
  }
  assert.doesNotMatch(service.process.log(), /gone or cut short|folder is gone/);
}

async function assertEmptied(service: TestService): Promise<void> {
  await service.images.pruneImages({ filters: { filters: { dangling: { values: ["false"] } } } });
  await eventually(() => {
    assert.deepEqual(onDisk(service.dataDir), emptyDisk);
    return true;
  });
}

describe("kill -9 at a step", () => {
  it("of load leaves a store that opens, and the load can be done again", async () => {
    await using service = await openImageService();
    const archive = await archiveOf(await twoLayers(), "demo:1");
    for (const step of steps) {
      await service.restart("SIGKILL", { GANTRY_FAILPOINT: `step:${step}` });
      await load(service, archive).catch(() => undefined);
      await service.restart();
      await assertSound(service);
      await load(service, archive);
      await assertSound(service);
      await assertEmptied(service);
    }
  });

  it("of pull leaves a store that opens, and the pull can be done again", async () => {
    await using dir = await openTempDir("gantry-reg-", "/tmp");
    await using registry = await startRegistry({ dir: dir.path });
    await putImage(registry.host, "demo", "1", await twoLayers());
    await using service = await openImageService();
    const pull = async (): Promise<void> => {
      const responses = service.images.pullImage({ reference: `${registry.host}/demo`, tag: "1" });
      for await (const response of responses) assert.ok(response.progress);
    };
    for (const step of steps) {
      await service.restart("SIGKILL", { GANTRY_FAILPOINT: `step:${step}` });
      await pull().catch(() => undefined);
      await service.restart();
      await assertSound(service);
      await pull();
      await assertSound(service);
      await assertEmptied(service);
    }
  });
});

describe("kill -9 at a step of what makes and removes images here", () => {
  it("leaves a store that opens: of an import", async () => {
    await using service = await openImageService();
    const [tar = new Uint8Array()] = (await oneLayer("imported")).blobs.values();
    const run = async (): Promise<unknown> =>
      await upload(service.images.importImage({ repository: "imp", tag: "1" }), tar);
    await killedAtSteps(service, run);
  });

  it("leaves a store that opens: of a commit, and the container's files", async () => {
    await using service = await openImageService();
    let parent = { parentImage: "", parentManifest: "" };
    const run = async (): Promise<unknown> =>
      await service.images.commitImage({
        ...{ snapshotKey: "c1", ...parent },
        repository: "made",
        configJson: Buffer.from("{}"),
      });
    const prepare = async (): Promise<void> => {
      await load(service, await archiveOf(await twoLayers(), "demo:1"));
      const demo = await service.images.resolveImage({ image: "demo:1", leaseOwner: "c1" });
      const { chainId, image } = demo;
      parent = { parentImage: image?.id ?? "", parentManifest: image?.manifest?.digest ?? "" };
      const place = { key: "c1", parentChainId: chainId, leaseOwner: "c1" };
      const { mount } = await service.snapshots.prepareSnapshot(place);
      writeFileSync(path.join(mount?.upperDir ?? "", "added"), "by the container");
    };
    await killedAtSteps(service, run, {
      prepare,
      check: async () => {
        const { changes } = await service.snapshots.listSnapshotChanges({ key: "c1" });
        assert.ok(changes.some((change) => change.path === "/added"));
      },
      finish: async () => {
        await service.content.releaseLease({ owner: "c1" });
      },
    });
  });

  it("leaves a store that opens: of a removal, which is whole or has not been", async () => {
    await using service = await openImageService();
    const remove = async (): Promise<unknown> =>
      await service.images.removeImage({ image: "demo:1" });
    const gone = (error: unknown): void => {
      assert.match(String(error), /No such image/);
    };
    await killedAtSteps(service, () => remove().catch(gone), {
      prepare: async () => {
        await load(service, await archiveOf(await twoLayers(), "demo:1"));
      },
    });
  });
});

describe("kill -9 at a step of what a classic build does", () => {
  it("leaves a store that opens: the layer, the images of steps and the kept container's tree", async () => {
    await using service = await openImageService();
    const leaseOwner = "build-cache-x";
    const run = async (): Promise<unknown> => {
      const layerKey = "build/x";
      await service.snapshots.commitSnapshot({ key: "c1", layerKey, leaseOwner, keep: true });
      const { diffId, layer } = await service.snapshots.packSnapshot({ layerKey, leaseOwner });
      const { mediaType = "", digest = "", sizeBytes = 0n } = layer ?? {};
      const first = stepImage("", []);
      const second = stepImage(first.id, [{ mediaType, digest, size: Number(sizeBytes), diffId }]);
      const images = [first, second].map(({ id: _id, ...image }) => image);
      return await service.images.storeStepImages({ images, namedId: second.id, names: ["s:1"] });
    };
    await killedAtSteps(service, run, {
      steps: isDeep ? allSteps : [1, 4, 8, 12, 16, 20, 24],
      prepare: async () => {
        const place = { key: "c1", parentChainId: "", leaseOwner: "c1" };
        const { mount } = await service.snapshots.prepareSnapshot(place);
        writeFileSync(path.join(mount?.upperDir ?? "", "added"), "by the step");
      },
      check: async () => {
        const { changes } = await service.snapshots.listSnapshotChanges({ key: "c1" });
        assert.ok(changes.some((change) => change.path === "/added"));
        // Whatever was written is seen by who looks for it, parents first.
        const { images } = await service.images.listImages({ all: true });
        const ids = images.map(({ id }) => id);
        assert.ok(images.every(({ parentId }) => parentId === "" || ids.includes(parentId)));
      },
      finish: async () => {
        for (const owner of ["c1", leaseOwner]) await service.content.releaseLease({ owner });
      },
    });
  });
});

interface LayerOfStep {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly diffId: string;
}

function stepImage(parentId: string, layers: readonly LayerOfStep[]) {
  const history = [{ created: "2026-01-01T00:00:00Z", created_by: "step", empty_layer: true }];
  const config = Buffer.from(
    JSON.stringify({
      ...{ os: "linux", architecture: "amd64", config: {} },
      history: layers.length === 0 ? history : [...history, { created_by: "RUN" }],
      rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    }),
  );
  const manifest = Buffer.from(
    JSON.stringify({
      ...{ schemaVersion: 2, mediaType: mediaTypes.ociManifest },
      config: {
        mediaType: mediaTypes.ociConfig,
        digest: sha256Digest(config),
        size: config.length,
      },
      layers: layers.map(({ diffId: _diffId, ...layer }) => layer),
    }),
  );
  return { id: sha256Digest(manifest) as string, manifest, config, parentId };
}

interface Around {
  readonly steps?: readonly number[];
  readonly prepare?: () => Promise<void>;
  /** After the kill. */
  readonly check?: () => Promise<void>;
  readonly finish?: () => Promise<void>;
}

async function killedAtSteps(
  service: TestService,
  run: () => Promise<unknown>,
  { steps = fewSteps, prepare, check, finish }: Around = {},
): Promise<void> {
  let killed = 0;
  for (const step of steps) {
    await prepare?.();
    await service.restart("SIGKILL", { GANTRY_FAILPOINT: `step:${step}` });
    await run().catch(() => {
      killed += 1;
    });
    await service.restart();
    await assertSound(service);
    await check?.();
    await run();
    await assertSound(service);
    await finish?.();
    await assertEmptied(service);
  }
  assert.notEqual(killed, 0, "it has ended before the first of the steps");
}

describe("start-up", () => {
  it("moves what no row owns to the trash, and drops rows whose files are gone", async () => {
    await using service = await openImageService();
    await load(service, await archiveOf(await oneLayer("kept"), "kept:1"));
    const blobs = path.join(service.dataDir, "content/blobs/sha256");
    writeFileSync(path.join(blobs, "0".repeat(64)), "nobody's");
    const [lost = ""] = readdirSync(blobs).filter((name) => name !== "0".repeat(64));
    rmSync(path.join(blobs, lost));
    await service.restart();
    assert.ok(!readdirSync(blobs).includes("0".repeat(64)));
    assert.equal(inTrash(service.dataDir).length, 1);
    assert.match(service.process.log(), /gone or cut short/);
    await load(service, await archiveOf(await oneLayer("kept"), "kept:1"));
    await service.images.resolveImage({ image: "kept:1" });
  });

  it("refuses a database that belongs to another folder's files", async () => {
    await using service = await openImageService();
    writeFileSync(path.join(service.dataDir, "store-id"), "another\n");
    await assert.rejects(service.restart("SIGTERM"), /did not start[\s\S]*belongs to/);
  });
});
