/** An image that is removed while a container is made of it: there is no container, or its image is whole. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";
import { resolveKind } from "@gantry/errors";
import { eventually } from "@gantry/testkit";
import { serveImage, startFakeRegistry } from "./fake-registry.ts";
import { load, openImageService } from "./image-client.ts";
import { archiveOf, oneLayer } from "./sample-images.ts";

describe("an image that is removed while it is resolved", () => {
  it("is not found, or stays whole for who has resolved it", async () => {
    await using service = await openImageService();
    const seen = new Set<string>();
    for (let round = 0; round < 40; round += 1) {
      const name = `demo:${String(round)}`;
      const key = `c${String(round)}`;
      await load(service, await archiveOf(await oneLayer(name), name));
      // Nobody has read it yet: that waits for the disk.
      const resolved = service.images
        .resolveImage({ image: name, leaseOwner: key })
        .catch((error: unknown) => {
          assert.equal(resolveKind(error), "not_found");
        });
      const removed = service.images.removeImage({ image: name, force: true });
      const found = await resolved;
      await removed;
      seen.add(found === undefined ? "gone" : "whole");
      if (found === undefined) continue;
      const { image, chainId } = found;
      await service.snapshots.prepareSnapshot({ key, parentChainId: chainId, leaseOwner: key });
      const { imageId } = await service.images.commitImage({
        snapshotKey: key,
        parentImage: image?.id ?? "",
        parentManifest: image?.manifest?.digest ?? "",
      });
      const { image: committed } = await service.images.inspectImage({ image: imageId });
      assert.equal(committed?.diffIds.length, 2, `round ${String(round)}`);
      await service.images.removeImage({ image: imageId, force: true });
    }
    assert.ok(seen.has("whole"));
  });

  it("leaves nothing when who has looked at it lets go", async () => {
    await using service = await openImageService();
    for (let round = 0; round < 10; round += 1) {
      const name = `demo:${String(round)}`;
      await load(service, await archiveOf(await oneLayer(name), name));
      const looks = [
        service.images.inspectImage({ image: name }),
        service.images.getImageHistory({ image: name }),
      ].map((look) =>
        look.catch((error: unknown) => {
          assert.equal(resolveKind(error), "not_found");
        }),
      );
      await service.images.removeImage({ image: name, force: true });
      await Promise.all(looks);
    }
    await eventually(() => {
      const blobs = readdirSync(path.join(service.dataDir, "content/blobs/sha256"));
      return blobs.length === 0;
    });
  });
});

describe("content that nobody has any more, while it is pulled for a lease", () => {
  it("is here for the lease, layers and all", async () => {
    await using service = await openImageService();
    await using registry = await startFakeRegistry();
    const image = await oneLayer("demo");
    serveImage(registry, "1", image);
    const pull = async (leaseOwner: string): Promise<string> => {
      let digest = "";
      const request = { reference: `${registry.host}/x/y`, tag: "1", leaseOwner };
      for await (const { manifest } of service.images.pullImage(request)) {
        digest = manifest?.digest ?? digest;
      }
      return digest;
    };
    const prune = () => service.images.pruneImages({});
    for (let round = 0; round < 40; round += 1) {
      const [before, owner] = [`before-${String(round)}`, `owner-${String(round)}`];
      await pull(before);
      await service.content.releaseLease({ owner: before });
      let pruned: Promise<unknown> | undefined;
      registry.answer = ({ method }) => {
        // Some moments after the pull has found all of it here: another one in each round.
        if (method === "HEAD") pruned ??= setTimeout(round / 4).then(prune);
        return false;
      };
      const digest = await pull(owner);
      registry.answer = undefined;
      await pruned;
      await service.snapshots.unpackManifest({ digest, leaseOwner: owner });
      await service.content.releaseLease({ owner });
    }
  });
});
