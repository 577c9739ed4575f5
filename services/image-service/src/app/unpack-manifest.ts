/** Layers of a manifest that need not be an image's: a build cache is kept like that. */
import { invalidArgument, notFound } from "@gantry/errors";
import type { Digest } from "@gantry/oci";
import { contentOf } from "../domain/image-view.ts";
import { contentLease, unclaimedUntil } from "./leases.ts";
import { unpackPresent } from "./resolve-image.ts";
import type { Store } from "./store.ts";

export interface UnpackManifestRequest {
  readonly digest: Digest;
  readonly leaseOwner: string;
  readonly signal: AbortSignal;
}

/**
 * Unpacks it. Throws not_found for content that is not here, invalid_argument for what is no manifest.
 * @returns chain ID of the topmost layer, or empty
 */
export async function unpackManifest(
  store: Store,
  { digest, leaseOwner, signal }: UnpackManifestRequest,
): Promise<string> {
  using hold = store.holds.open();
  hold.blob(digest);
  // It may have been read while parts of it were not here yet.
  store.catalog.forget(digest);
  const view = (await store.catalog.view(digest)).manifests[0];
  if (view?.descriptor.digest !== digest) throw invalidArgument(`${digest} is no manifest`);
  for (const { digest: part } of contentOf(view)) {
    hold.blob(part);
    if (!store.metadata.blobs.has(part)) {
      throw notFound("content", part, `content ${part} is missing`);
    }
  }
  await unpackPresent(store, view, hold, signal);
  const chainId = view.chain.at(-1) ?? "";
  store.metadata.change((change) => {
    const resources = contentLease(digest, chainId);
    change.putLease(leaseOwner, unclaimedUntil(store, leaseOwner), resources);
  });
  return chainId;
}
