/** ContentService. */
import { invalidArgument, notFound } from "@gantry/errors";
import { type Digest, parseDigest } from "@gantry/oci";
import type { ContentService } from "@gantry/proto/image";
import type { Handlers } from "@gantry/rpc";
import { acquireLease, releaseLease } from "../app/leases.ts";
import { readBlob } from "../app/read-blob.ts";
import type { Store } from "../app/store.ts";
import { writeBlob, writeBlobs, writeName } from "../app/write-blob.ts";
import type { BlobRecord, LeaseResource } from "../domain/records.ts";

export function contentHandlers(store: Store): Handlers<typeof ContentService> {
  const { metadata } = store;
  return {
    async statBlob({ digest }) {
      return { sizeBytes: BigInt(requireBlob(store, digest).sizeBytes) };
    },

    async *readBlob({ digest, offsetBytes, limitBytes }, { signal }) {
      const blob = requireBlob(store, digest);
      const range = { offset: Number(offsetBytes), limit: Number(limitBytes) };
      for await (const data of readBlob(store, blob, range, signal)) yield { data };
    },

    async writeBlob(requests, { signal }) {
      const { digest, sizeBytes } = await writeBlob(store, requests, signal);
      return { digest, sizeBytes: BigInt(sizeBytes) };
    },

    async writeBlobs({ blobs, leaseOwner, resources, ttlMs }) {
      const lease = {
        owner: leaseOwner,
        resources: resources.map(resourceOf),
        ttlMs: Number(ttlMs),
      };
      return { digests: await writeBlobs(store, blobs, lease) };
    },

    async statWrite({ ref }) {
      const offset = await store.content.ingestOffset(writeName(ref));
      if (offset === undefined) throw notFound("write", ref);
      return { offsetBytes: BigInt(offset) };
    },

    async *listBlobs() {
      for (const { digest, sizeBytes } of [...metadata.blobs.values()]) {
        yield { digest, sizeBytes: BigInt(sizeBytes) };
      }
    },

    async acquireLease({ owner, resources, ttlMs }) {
      acquireLease(store, owner, resources.map(resourceOf), Number(ttlMs));
      return {};
    },

    async releaseLease({ owner }) {
      releaseLease(store, owner);
      return {};
    },

    async listLeases() {
      return {
        leases: [...metadata.leases.values()].map((lease) => ({
          owner: lease.owner,
          resources: lease.resources.map((each) => ({ ...each })),
          expiresNano: lease.expiresNano,
        })),
      };
    },
  };
}

function requireBlob(store: Store, digest: string): BlobRecord {
  const blob = store.metadata.blobs.get(parseDigest(digest));
  if (blob === undefined) throw notFound("content", digest, `content ${digest}: not found`);
  return blob;
}

function resourceOf({ type, id }: { type: string; id: string }): LeaseResource {
  if (type === "snapshot") return { type, id };
  if (type !== "image" && type !== "blob") {
    throw invalidArgument(`a lease cannot protect a ${JSON.stringify(type)}`);
  }
  return { type, id: parseDigest(id) satisfies Digest };
}
