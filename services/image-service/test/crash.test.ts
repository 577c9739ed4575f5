import assert from "node:assert/strict";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { openTempDir } from "@gantry/fs";
import { eventually } from "@gantry/testkit";
import { putImage } from "@gantry/testkit/image-maker";
import { startRegistry } from "@gantry/testkit/registry";
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
  const { images } = await service.images.listImages({});
  for (const { id } of images) {
    await service.images.resolveImage({ image: id });
    assert.ok((await save(service, [id])).length > 0);
  }
  assert.doesNotMatch(service.process.log(), /gone or cut short|folder is gone/);
}

async function assertEmptied(service: TestService): Promise<void> {
  await service.images.pruneImages({ filters: { filters: { dangling: { values: ["false"] } } } });
  await eventually(() => {
    assert.deepEqual(readdirSync(path.join(service.dataDir, "content/blobs/sha256")), []);
    assert.deepEqual(readdirSync(path.join(service.dataDir, "snapshots")), ["base", "empty"]);
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

interface Around {
  readonly prepare?: () => Promise<void>;
  /** After the kill. */
  readonly check?: () => Promise<void>;
  readonly finish?: () => Promise<void>;
}

async function killedAtSteps(
  service: TestService,
  run: () => Promise<unknown>,
  { prepare, check, finish }: Around = {},
): Promise<void> {
  let killed = 0;
  for (const step of fewSteps) {
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
    assert.equal(readdirSync(path.join(service.dataDir, "trash")).length, 1);
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
