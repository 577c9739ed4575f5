/** Blobs of image-service's content store. */
import { randomUUID } from "node:crypto";
import { hasKind } from "@gantry/errors";
import type { ContentService } from "@gantry/proto/image";
import type { ServiceClient } from "@gantry/rpc";
import type { Layers } from "../../ports/layers.ts";

/** Bytes of one message of a blob. */
const chunkBytes = 256 * 1024;
/** A lease of a build's blobs ends by itself when the build is gone. */
const leaseMs = 24 * 3600 * 1000;

/** Its part of the port. */
export function blobStore(
  content: ServiceClient<typeof ContentService>,
): Pick<Layers, "writeBlobs" | "copyBlob" | "hasBlob" | "readBlob"> {
  const hold = async (digest: string, owner: string): Promise<void> => {
    const resources = [{ type: "blob", id: digest }];
    await content.acquireLease({ owner, resources, ttlMs: BigInt(leaseMs) });
  };
  return {
    async writeBlobs(blobs, { owner: leaseOwner, blobs: others, ttlMs }) {
      const resources = others.map((id) => ({ type: "blob", id }));
      await content.writeBlobs({
        ...{ blobs: [...blobs], leaseOwner, resources, ttlMs: BigInt(ttlMs) },
      });
    },
    async copyBlob(digest, bytes, leaseOwner, signal) {
      const head = { ref: randomUUID(), digest, sizeBytes: 0n, leaseOwner };
      try {
        await content.writeBlob(blobMessages(head, bytes), { signal });
      } catch (error) {
        if (!hasKind(error, "already_exists")) throw error;
        await hold(digest, leaseOwner);
      }
    },
    async hasBlob(digest, leaseOwner) {
      // The lease first: what is seen then can't go any more.
      await hold(digest, leaseOwner);
      try {
        await content.statBlob({ digest });
        return true;
      } catch (error) {
        if (hasKind(error, "not_found")) return false;
        throw error;
      }
    },
    async *readBlob(digest, signal) {
      for await (const { data } of content.readBlob({ digest }, { signal })) yield data;
    },
  };
}

async function* blobMessages(
  head: {
    readonly ref: string;
    readonly digest: string;
    readonly sizeBytes: bigint;
    readonly leaseOwner: string;
  },
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
) {
  yield { head };
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; at += chunkBytes) {
      yield { data: piece.subarray(at, at + chunkBytes) };
    }
  }
}
