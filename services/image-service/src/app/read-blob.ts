/** Reads ranges of blobs. */
import { invalidArgument } from "@gantry/errors";
import type { BlobRecord } from "../domain/records.ts";
import type { Store } from "./store.ts";

/** Largest piece: what one message may hold. */
const pieceBytes = 256 * 1024;

/** @param range limit 0 = up to the end */
export async function* readBlob(
  store: Store,
  blob: BlobRecord,
  range: { readonly offset: number; readonly limit: number },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { offset, limit } = range;
  if (offset < 0 || limit < 0 || offset > blob.sizeBytes) {
    throw invalidArgument(`offset ${offset} is outside of content of ${blob.sizeBytes} bytes`);
  }
  using hold = store.holds.open();
  hold.blob(blob.digest);
  await using handle = await store.content.open(blob.digest);
  const end = limit === 0 ? blob.sizeBytes : Math.min(blob.sizeBytes, offset + limit);
  for (let position = offset; position < end; ) {
    signal.throwIfAborted();
    const buffer = Buffer.allocUnsafe(Math.min(pieceBytes, end - position));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
