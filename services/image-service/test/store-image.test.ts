/** Images of a build: their documents are written together, then the image is recorded. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { openImageService, type TestService } from "./image-client.ts";

interface Documents {
  readonly config: Buffer;
  readonly manifest: Buffer;
  readonly target: { mediaType: string; digest: string; sizeBytes: bigint };
}

const sha256 = (bytes: Buffer): string =>
  `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** An image without layers. */
function documents(comment: string): Documents {
  const config = Buffer.from(
    JSON.stringify({
      ...{ os: "linux", architecture: "amd64", comment },
      rootfs: { type: "layers", diff_ids: [] },
    }),
  );
  const configType = "application/vnd.oci.image.config.v1+json";
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = Buffer.from(
    JSON.stringify({
      ...{ schemaVersion: 2, mediaType, layers: [] },
      config: { mediaType: configType, digest: sha256(config), size: config.length },
    }),
  );
  const sizeBytes = BigInt(manifest.length);
  return { config, manifest, target: { mediaType, digest: sha256(manifest), sizeBytes } };
}

async function write(service: TestService, { config, manifest }: Documents): Promise<void> {
  await service.content.writeBlobs({ blobs: [config, manifest], leaseOwner: "build", ttlMs: 0n });
}

describe("storing an image", () => {
  it("records it under its names and releases the lease of its content", async () => {
    await using service = await openImageService();
    const image = documents("first");
    await write(service, image);
    const names = ["docker.io/library/made:1", "docker.io/library/made:2"];
    await service.images.storeImage({ target: image.target, names, leaseOwner: "build" });
    const { leases } = await service.content.listLeases({});
    assert.deepEqual(leases, []);
    const { image: found } = await service.images.inspectImage({ image: "made:2" });
    assert.equal(found?.id, image.target.digest);
    assert.deepEqual(found?.repoTags, ["made:1", "made:2"]);
    const told: string[] = [];
    const untilNano = BigInt(Date.now()) * 1_000_000n + 1_000_000n;
    for await (const { event } of service.events.subscribe({ sinceNano: 1n, untilNano })) {
      if (event !== undefined) told.push(`${event.action} ${event.attributes["name"] ?? ""}`);
    }
    assert.deepEqual(told, [`create ${image.target.digest}`, "tag made:1", "tag made:2"]);
    // Also for a process that has written nothing itself.
    await service.restart();
    const { image: again } = await service.images.inspectImage({ image: "made:1" });
    assert.match(Buffer.from(again?.configJson ?? []).toString(), /"comment":"first"/);
  });

  it("is refused when the content was given up meanwhile, and when it never came", async () => {
    await using service = await openImageService();
    const image = documents("second");
    await write(service, image);
    await service.content.releaseLease({ owner: "build" });
    await eventually(async () => {
      const { digest } = image.target;
      return await service.content.statBlob({ digest }).then(
        () => undefined,
        () => true,
      );
    });
    const store = (target: Documents["target"]) => service.images.storeImage({ target, names: [] });
    await assert.rejects(store(image.target), { kind: "not_found" });
    await assert.rejects(store(documents("third").target), { kind: "not_found" });
  });
});
