import assert from "node:assert/strict";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { openTempDir } from "@gantry/fs";
import { eventually } from "@gantry/testkit";
import { putImage } from "@gantry/testkit/image-maker";
import { startRegistry } from "@gantry/testkit/registry";
import { load, openImageService, save, type TestService } from "./image-client.ts";
import { archiveOf, oneLayer, twoLayers } from "./sample-images.ts";

/** Steps at which the process is killed; GANTRY_TEST_DEEP asks for each one up to the last. */
const steps =
  process.env["GANTRY_TEST_DEEP"] === undefined
    ? [2, 7, 12, 18]
    : Array.from({ length: 48 }, (_, index) => index + 1);

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
