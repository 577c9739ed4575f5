import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { digestOf } from "@gantry/testkit/image-maker";
import { untilPasses } from "@gantry/testkit/until-passes";
import { openImageService, type TestService } from "./image-client.ts";

const bytes = Buffer.from(
  Array.from({ length: 700_000 }, (_, index) => (index * 7 + (index >> 8)) & 255),
);
const digest = digestOf(bytes);

interface Head {
  readonly ref: string;
  readonly digest?: string;
  readonly sizeBytes?: bigint;
  readonly offsetBytes?: bigint;
  readonly leaseOwner?: string;
}

/** Writes pieces of 100,000 bytes. */
async function write(service: TestService, head: Head, data: Uint8Array) {
  async function* messages() {
    yield { head: { digest, ...head } };
    for (let at = 0; at < data.length; at += 100_000) {
      yield { data: data.subarray(at, at + 100_000) };
    }
  }
  return service.content.writeBlob(messages());
}

async function read(service: TestService, offset = 0, limit = 0): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  const range = { offsetBytes: BigInt(offset), limitBytes: BigInt(limit) };
  for await (const { data } of service.content.readBlob({ digest, ...range })) {
    assert.ok(data.length <= 256 * 1024);
    chunks.push(data);
  }
  return Buffer.concat(chunks);
}

const fileOf = (service: TestService): string =>
  path.join(service.dataDir, "content/blobs/sha256", digest.slice("sha256:".length));

describe("ContentService", () => {
  it("writes a blob, tells of it, and reads any range of it", async () => {
    await using service = await openImageService();
    await assert.rejects(service.content.statBlob({ digest }), { kind: "not_found" });
    const size = BigInt(bytes.length);
    assert.deepEqual(
      (({ digest: written, sizeBytes }) => ({ written, sizeBytes }))(
        await write(service, { ref: "a", sizeBytes: size }, bytes),
      ),
      { written: digest, sizeBytes: size },
    );
    assert.equal((await service.content.statBlob({ digest })).sizeBytes, size);
    assert.deepEqual(await read(service), bytes);
    assert.deepEqual(await read(service, 300_000, 77), bytes.subarray(300_000, 300_077));
    assert.deepEqual(await read(service, bytes.length), Buffer.alloc(0));
    await assert.rejects(read(service, bytes.length + 1), { kind: "invalid_argument" });
    const listed: string[] = [];
    for await (const each of service.content.listBlobs({})) listed.push(each.digest);
    assert.deepEqual(listed, [digest]);
    await assert.rejects(write(service, { ref: "b" }, bytes), { kind: "already_exists" });
  });

  it("writes small blobs together, and keeps those that are here, by one lease", async () => {
    await using service = await openImageService();
    await write(service, { ref: "a" }, bytes);
    const elsewhere = digestOf(Buffer.from("elsewhere"));
    const small = [Buffer.from("one"), bytes, Buffer.from("two"), Buffer.from("one")];
    const { digests } = await service.content.writeBlobs({
      ...{ blobs: small, leaseOwner: "export", ttlMs: 0n },
      resources: [{ type: "blob", id: elsewhere }],
    });
    assert.deepEqual(digests, small.map(digestOf));
    for (const each of digests) {
      const { sizeBytes } = await service.content.statBlob({ digest: each });
      assert.equal(Number(sizeBytes), small[digests.indexOf(each)]?.length);
    }
    const { leases } = await service.content.listLeases({});
    const kept = leases.find(({ owner }) => owner === "export")?.resources.map(({ id }) => id);
    assert.deepEqual(new Set(kept), new Set([...digests, elsewhere]));
    await service.content.releaseLease({ owner: "export" });
    await untilPasses(async () => {
      await assert.rejects(service.content.statBlob({ digest: digestOf(Buffer.from("one")) }), {
        kind: "not_found",
      });
    });
  });

  it("refuses to write blobs that nothing keeps", async () => {
    await using service = await openImageService();
    await assert.rejects(service.content.writeBlobs({ blobs: [bytes] }), {
      kind: "invalid_argument",
      message: "a lease needs an owner",
    });
  });

  it("resumes a write where it stopped, also after kill -9", async () => {
    await using service = await openImageService();
    const head = { ref: "half", sizeBytes: BigInt(bytes.length) };
    await assert.rejects(write(service, head, bytes.subarray(0, 300_000)), {
      kind: "invalid_argument",
      message: "the write ended at 300000 of 700000 bytes",
    });
    await service.restart("SIGKILL");
    const { offsetBytes } = await service.content.statWrite({ ref: "half" });
    assert.equal(offsetBytes, 300_000n);
    await assert.rejects(
      write(service, { ...head, offsetBytes: 200_000n }, bytes.subarray(200_000)),
      { kind: "invalid_argument", message: "the write stands at 300000, not at 200000" },
    );
    await write(service, { ...head, offsetBytes }, bytes.subarray(300_000));
    assert.deepEqual(await read(service), bytes);
    await assert.rejects(service.content.statWrite({ ref: "half" }), { kind: "not_found" });
  });

  it("records nothing that is not what its digest names", async () => {
    await using service = await openImageService();
    const other = Buffer.from(bytes).fill(1, 500, 600);
    await assert.rejects(write(service, { ref: "a" }, other), { kind: "invalid_argument" });
    await assert.rejects(write(service, { ref: "b", sizeBytes: BigInt(bytes.length - 1) }, bytes), {
      kind: "invalid_argument",
      message: "more bytes than the announced 699999",
    });
    await assert.rejects(write(service, { ref: "" }, bytes), { kind: "invalid_argument" });
    await assert.rejects(write(service, { ref: "c", digest: "sha256:../x" }, bytes), {
      kind: "invalid_argument",
    });
    assert.equal(existsSync(fileOf(service)), false);
    await write(service, { ref: "a" }, bytes);
    assert.deepEqual(await read(service), bytes);
  });

  it("keeps a blob as long as its lease, and not longer", async () => {
    await using service = await openImageService();
    await write(service, { ref: "a", leaseOwner: "build" }, bytes);
    await service.restart();
    await service.images.pruneImages({});
    assert.ok(existsSync(fileOf(service)));
    await service.content.acquireLease({
      owner: "second",
      resources: [{ type: "blob", id: digest }],
    });
    await service.content.releaseLease({ owner: "build" });
    await service.restart("SIGTERM");
    assert.ok(existsSync(fileOf(service)));
    const { leases } = await service.content.listLeases({});
    assert.deepEqual(
      leases.map(({ owner }) => owner),
      ["second"],
    );
    await service.content.releaseLease({ owner: "second" });
    await service.restart("SIGTERM");
    assert.equal(existsSync(fileOf(service)), false);
    await assert.rejects(
      service.content.acquireLease({ owner: "x", resources: [{ type: "volume", id: "v" }] }),
      { kind: "invalid_argument" },
    );
  });
});
