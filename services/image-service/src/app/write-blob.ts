/** Writes blobs that come as messages, resumable by name. */
import { alreadyExists, canceled, invalidArgument } from "@gantry/errors";
import { type Digest, digestAlgorithm, parseDigest, sha256Digest } from "@gantry/oci";
import type { LeaseResource } from "../domain/records.ts";
import type { CommittedBlob, Ingest } from "../ports/content.ts";
import { acquireLease } from "./leases.ts";
import type { Store } from "./store.ts";

/** A write of which nobody says whom it belongs to is kept so long. */
const unownedBlobTtlNano = 24n * 3600n * 1_000_000_000n;

/** First message: what is written. */
export interface WriteHead {
  readonly ref: string;
  readonly digest: string;
  /** 0 = unknown. */
  readonly sizeBytes: bigint;
  readonly offsetBytes: bigint;
  readonly leaseOwner: string;
}

export interface WriteMessage {
  readonly head?: WriteHead | undefined;
  readonly data: Uint8Array;
}

/** Name of the ingest of a ref. */
export function writeName(ref: string): string {
  return `ref ${ref}`;
}

/** An end of the stream before the announced size keeps what came, for a resume. */
export async function writeBlob(
  store: Store,
  messages: AsyncIterable<WriteMessage>,
  signal: AbortSignal,
): Promise<CommittedBlob> {
  const iterator = messages[Symbol.asyncIterator]();
  const first = await iterator.next();
  const head = first.done ? undefined : first.value.head;
  if (first.done || head === undefined)
    throw invalidArgument("the first message must name the write");
  if (head.ref === "") throw invalidArgument("a write needs a ref");
  const digest = parseDigest(head.digest);
  if (store.metadata.blobs.has(digest)) throw alreadyExists(`content ${digest}: already exists`);
  const ingest = await store.content.ingest(writeName(head.ref), digestAlgorithm(digest));
  const size = head.sizeBytes === 0n ? undefined : Number(head.sizeBytes);
  try {
    await position(ingest, Number(head.offsetBytes));
    await append(ingest, first.value.data, size);
    for (;;) {
      const next = await iterator.next();
      if (next.done) break;
      signal.throwIfAborted();
      if (next.value.head !== undefined)
        throw invalidArgument("only the first message names a write");
      await append(ingest, next.value.data, size);
    }
    signal.throwIfAborted();
    if (size !== undefined && ingest.offset < size) {
      throw invalidArgument(`the write ended at ${ingest.offset} of ${size} bytes`);
    }
  } catch (error) {
    await ingest.suspend(error instanceof Error ? error : canceled("the write was canceled"));
    throw error;
  }
  const blob = await ingest.commit({ digest, sizeBytes: size });
  const owner = head.leaseOwner || `~written:${digest}`;
  const held = store.metadata.leases.get(owner);
  const expires = held?.expiresNano ?? store.nowNano() + unownedBlobTtlNano;
  store.metadata.change((change) => {
    change.putBlob(blob);
    change.putLease(owner, expires, [{ type: "blob", id: blob.digest }]);
  });
  await store.metadata.flush();
  return blob;
}

/** Writes small blobs that are not here yet, all at once. */
export async function writeBlobs(
  store: Store,
  blobs: readonly Uint8Array[],
  lease: {
    readonly owner: string;
    readonly resources: readonly LeaseResource[];
    readonly ttlMs: number;
  },
): Promise<Digest[]> {
  const digests = blobs.map((bytes) => sha256Digest(bytes));
  // The lease first: what is here now can't go any more.
  const kept = digests.map((id) => ({ type: "blob" as const, id }));
  acquireLease(store, lease.owner, [...lease.resources, ...kept], lease.ttlMs);
  const missing = new Map(
    digests
      .map((digest, index) => [digest, blobs[index] ?? new Uint8Array()] as const)
      .filter(([digest]) => !store.metadata.blobs.has(digest)),
  );
  const written = await Promise.all(
    [...missing.values()].map((bytes) => store.content.write(bytes)),
  );
  store.metadata.change((change) => {
    for (const blob of written) change.putBlob(blob);
  });
  await store.metadata.flush();
  // Manifests and configs: the image is recorded next.
  for (const [index, digest] of digests.entries()) {
    store.content.remember(digest, blobs[index] ?? new Uint8Array());
  }
  return digests;
}

async function position(ingest: Ingest, offset: number): Promise<void> {
  if (offset === 0 && ingest.offset > 0) await ingest.restart();
  if (offset !== ingest.offset) {
    throw invalidArgument(`the write stands at ${ingest.offset}, not at ${offset}`);
  }
}

async function append(ingest: Ingest, data: Uint8Array, size: number | undefined): Promise<void> {
  if (data.length === 0) return;
  if (size !== undefined && ingest.offset + data.length > size) {
    throw invalidArgument(`more bytes than the announced ${size}`);
  }
  await ingest.append([data]);
}
