/** Layers of builds: made of snapshots, packed with the blocks of earlier ones, durable behind the builder's back. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import { eventually } from "@gantry/testkit";
import { openImageService, type TestService } from "./image-client.ts";

const big = randomBytes(1_500_000).toString("hex");

/** A layer of files, packed. @returns the blob's digest */
async function packLayer(
  service: TestService,
  name: string,
  files: Readonly<Record<string, string>>,
  like: readonly string[],
): Promise<string> {
  const layerKey = await commitLayer(service, name, files);
  const request = { layerKey, parentChainId: "", leaseOwner: name, like: [...like] };
  const { layer } = await service.snapshots.packSnapshot(request);
  return layer?.digest ?? "";
}

async function commitLayer(
  service: TestService,
  name: string,
  files: Readonly<Record<string, string>>,
): Promise<string> {
  const prepared = { key: name, parentChainId: "", leaseOwner: name };
  const { mount } = await service.snapshots.prepareSnapshot(prepared);
  for (const [file, content] of Object.entries(files))
    writeFileSync(path.join(mount?.upperDir ?? "", file), content);
  const layerKey = `build/${name}`;
  await service.snapshots.commitSnapshot({ key: name, layerKey, leaseOwner: name });
  return layerKey;
}

describe("packing a layer", () => {
  it("takes blocks from the layers that it is like, as far as they are here", async () => {
    await using service = await openImageService();
    const indexes = path.join(service.dataDir, "content/blocks");
    const indexOf = (digest: string): string => path.join(indexes, digest.slice("sha256:".length));
    const first = await packLayer(service, "first", { big }, []);
    assert.deepEqual(
      [statSync(indexes).mode & 0o777, statSync(path.join(indexes, "key")).mode & 0o777],
      [0o700, 0o600],
    );
    spoil(path.join(service.dataDir, "content/blobs/sha256", first.slice(7)), indexOf(first));
    const files = { big, small: "one more" };
    const unknown = `sha256:${"0".repeat(64)}`;
    const second = await packLayer(service, "second", files, [unknown, first]);
    const third = await packLayer(service, "third", files, [unknown]);
    // The same tree but for times; what was changed in the first layer's block is in the second's only.
    const block = (digest: string): Buffer => {
      const index = readFileSync(indexOf(digest));
      const blob = readFileSync(
        path.join(service.dataDir, "content/blobs/sha256", digest.slice(7)),
      );
      return blockOf(blob, index, 1);
    };
    assert.deepEqual(block(second), block(first));
    assert.notDeepEqual(block(third), block(first));
    assert.equal(block(third).length, block(first).length);
  });

  it("keeps an index as long as its blob, and none of layers of one block", async () => {
    await using service = await openImageService();
    const indexes = (): string[] =>
      readdirSync(path.join(service.dataDir, "content/blocks")).filter((name) => name !== "key");
    await packLayer(service, "small", { file: "content" }, []);
    assert.deepEqual(indexes(), []);
    const digest = await packLayer(service, "first", { big }, []);
    assert.deepEqual(indexes(), [digest.slice(7)]);
    const key = readFileSync(path.join(service.dataDir, "content/blocks/key"));
    const orphan = path.join(service.dataDir, "content/blocks", "0".repeat(64));
    writeFileSync(orphan, "of a blob that is gone");
    await service.restart();
    assert.deepEqual(indexes(), [digest.slice(7)]);
    assert.deepEqual(readFileSync(path.join(service.dataDir, "content/blocks/key")), key);
    await service.content.releaseLease({ owner: "first" });
    await eventually(() => indexes().length === 0 || undefined);
  });
});

describe("a layer of a build", () => {
  it("is durable soon, also when it is packed meanwhile, and gone after a power cut before that", async () => {
    await using service = await openImageService();
    using db = new DatabaseSync(path.join(service.dataDir, "metadata.db"));
    const unsynced = () =>
      db.prepare("SELECT key FROM snapshots WHERE unsynced_boot <> ''").all().length;
    await packLayer(service, "first", { file: "content" }, []);
    assert.equal(unsynced(), 1);
    await eventually(() => unsynced() === 0 || undefined);
    const key = await commitLayer(service, "second", { file: "other" });
    await eventually(() => unsynced() === 0 || undefined);
    // As if the power had gone before.
    db.prepare("UPDATE snapshots SET unsynced_boot = 'an earlier boot' WHERE key = ?").run(key);
    await service.restart();
    const { snapshots } = await service.snapshots.listSnapshots({ layers: true });
    assert.deepEqual(
      snapshots.map((each) => each.key.startsWith("sha256:")),
      [true],
    );
  });
});

const headBytes = 24;
const entryBytes = 32;

/** The bytes of a block of a layer, by its index. */
function blockOf(blob: Buffer, index: Buffer, number: number): Buffer {
  const at = headBytes + number * entryBytes;
  const offset = Number(index.readBigUInt64LE(at + 16));
  return blob.subarray(offset, offset + index.readUInt32LE(at + 24));
}

/** Changes a byte of a layer's second block in such a way that nobody sees it. */
function spoil(layer: string, index: string): void {
  const blob = readFileSync(layer);
  const entries = readFileSync(index);
  const block = blockOf(blob, entries, 1);
  const middle = Math.floor(block.length / 2);
  block.writeUInt8(block.readUInt8(middle) ^ 0xff, middle);
  entries.writeUInt32LE(crc32(block), headBytes + entryBytes + 28);
  writeFileSync(layer, blob);
  writeFileSync(index, entries);
}
