/** What kill -9 leaves of a pull: the next one asks for the missing bytes, and for nothing else. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync, statSync } from "node:fs";
import type http from "node:http";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { type MadeImage, makeImage, makeLayer } from "@gantry/testkit/image-maker";
import { type FakeRegistry, serveImage, startFakeRegistry } from "./fake-registry.ts";
import { openImageService, save, type TestService } from "./image-client.ts";

const mebibyte = 2 ** 20;

/** Layers that do not compress, as they are. */
async function largeImage(...sizes: readonly number[]): Promise<MadeImage> {
  const layers = sizes.map((size, index) =>
    makeLayer([
      { header: { name: `file-${index}`, mtime: new Date(0) }, content: randomBytes(size) },
    ]),
  );
  return makeImage({ layers: await Promise.all(layers), gzip: false });
}

async function pull(service: TestService, registry: FakeRegistry): Promise<string> {
  let last = "";
  for await (const { progress } of service.images.pullImage({
    reference: `${registry.host}/big`,
    tag: "1",
  })) {
    last = progress?.status ?? "";
  }
  return last;
}

/** Answers with part of a blob and keeps the connection open until it is cut. */
function withhold(registry: FakeRegistry, digest: string, bytes: number) {
  return async ({ url }: http.IncomingMessage, response: http.ServerResponse): Promise<boolean> => {
    if (!(url ?? "").endsWith(digest)) return false;
    const blob = registry.blobs.get(digest) ?? new Uint8Array();
    response.writeHead(200, { "content-length": blob.length });
    response.write(blob.subarray(0, bytes));
    await once(response, "close");
    return true;
  };
}

/** Bytes of unfinished writes on disk. */
function unfinished(service: TestService): number {
  const folder = path.join(service.dataDir, "content/ingest");
  return readdirSync(folder).reduce((sum, name) => sum + statSync(path.join(folder, name)).size, 0);
}

const rangesOf = (registry: FakeRegistry, digest: string): (string | undefined)[] =>
  registry.seen.filter(({ url }) => url.endsWith(digest)).map(({ headers }) => headers.range);

describe("a pull whose service is killed", () => {
  it("in the middle of a layer goes on at the byte where the file ends", async () => {
    await using registry = await startFakeRegistry();
    const image = await largeImage(100_000, 6 * mebibyte);
    serveImage(registry, "1", image);
    const blobs = [...image.blobs].sort(([, one], [, other]) => one.length - other.length);
    const [large = "", bytes = new Uint8Array()] = blobs.at(-1) ?? [];
    const [whole = ""] = blobs.at(-2) ?? [];
    registry.answer = withhold(registry, large, 4 * mebibyte + 1000);
    await using service = await openImageService();
    const failed = assert.rejects(pull(service, registry));
    await eventually(() => {
      assert.ok(unfinished(service) >= 4 * mebibyte);
      const blobsHere = readdirSync(path.join(service.dataDir, "content/blobs/sha256"));
      assert.ok(blobsHere.includes(whole.slice("sha256:".length)));
      return true;
    });
    await service.process.end("SIGKILL");
    await failed;
    const kept = unfinished(service);
    registry.answer = undefined;
    registry.seen.length = 0;
    await service.restart();
    assert.match(await pull(service, registry), /Downloaded newer image/);
    assert.deepEqual(rangesOf(registry, large), [`bytes=${kept}-`]);
    assert.deepEqual(rangesOf(registry, whole), [], "a whole layer was fetched again");
    assert.equal(unfinished(service), 0);
    const read: Uint8Array[] = [];
    for await (const { data } of service.content.readBlob({ digest: large })) read.push(data);
    assert.ok(Buffer.concat(read).equals(bytes));
  });

  it("before and after its layers are synced has them all the same", async () => {
    await using registry = await startFakeRegistry();
    serveImage(registry, "1", await largeImage(50_000, 60_000));
    await using service = await openImageService();
    await pull(service, registry);
    // The sync comes a moment later: this start finds rows that name this boot.
    await service.restart();
    await assertWhole(service, registry);
    await service.process.end("SIGTERM");
    assert.deepEqual(unsyncedBoots(service), ["", ""]);
    await service.restart();
    await assertWhole(service, registry);
    assert.doesNotMatch(service.process.log(), /not synced before|gone or cut short/);
    registry.seen.length = 0;
    assert.match(await pull(service, registry), /Image is up to date/);
    assert.ok(registry.seen.every(({ url }) => !url.includes("/blobs/")));
  });
});

async function assertWhole(service: TestService, registry: FakeRegistry): Promise<void> {
  const { chainId } = await service.images.resolveImage({ image: `${registry.host}/big:1` });
  assert.match(chainId, /^sha256:/);
  const { snapshots } = await service.snapshots.listSnapshots({ layers: true });
  assert.equal(snapshots.length, 2);
  assert.ok((await save(service, [`${registry.host}/big:1`])).length > 110_000);
}

function unsyncedBoots(service: TestService): unknown[] {
  const db = new DatabaseSync(path.join(service.dataDir, "metadata.db"));
  try {
    const rows = db.prepare("SELECT unsynced_boot FROM snapshots WHERE kind = 'layer'").all();
    return rows.map((row) => row["unsynced_boot"]);
  } finally {
    db.close();
  }
}
