/** What to run: manifest, config, and layers unpacked. */
import type { Platform } from "@gantry/oci";
import type { ImageDetails } from "../domain/image-details.ts";
import type { ManifestView } from "../domain/image-view.ts";
import { chooseImage } from "./choose-image.ts";
import { describeImage } from "./describe-image.ts";
import { shownName } from "./find-image.ts";
import type { Hold } from "./holds.ts";
import { contentLease, unclaimedUntil } from "./leases.ts";
import type { Store } from "./store.ts";
import type { UnpackRequest } from "./unpacker.ts";

export interface ResolveRequest {
  readonly image: string;
  readonly platform: Platform | undefined;
  readonly leaseOwner: string;
  readonly signal: AbortSignal;
}

export interface ResolvedImage {
  readonly details: ImageDetails;
  /** Empty for an image without layers. */
  readonly chainId: string;
  readonly platformMismatch: boolean;
}

export async function resolveImage(store: Store, request: ResolveRequest): Promise<ResolvedImage> {
  using hold = store.holds.open();
  const chosen = await chooseImage(
    store,
    hold,
    request.image,
    request.platform,
    shownName(request.image),
  );
  await unpackPresent(store, chosen.view, hold, request.signal);
  const details = await describeImage(store, chosen.image, {
    chosen: chosen.view,
    configJson: true,
  });
  const chainId = chosen.view.chain.at(-1) ?? "";
  if (request.leaseOwner !== "") {
    const { leaseOwner } = request;
    store.metadata.change((change) => {
      const resources = contentLease(chosen.image.digest, chainId);
      change.putLease(leaseOwner, unclaimedUntil(store, leaseOwner), resources);
    });
  }
  return { details, chainId, platformMismatch: chosen.mismatch };
}

/** Is told of the layers that are unpacked, and may have a layer's record wait; see UnpackRequest. */
export type LayerListener = Pick<UnpackRequest, "onBegin" | "onDone"> &
  Partial<Pick<UnpackRequest, "blobReady">>;

/** Unpacks from blobs whose files are here. */
export async function unpackPresent(
  store: Store,
  view: ManifestView,
  hold: Hold,
  signal: AbortSignal,
  listener: LayerListener = {},
): Promise<void> {
  const layers = view.manifest?.layers ?? [];
  for (const { digest } of layers) hold.blob(digest);
  const top = view.chain.at(-1);
  if (top !== undefined && store.metadata.snapshots.has(top)) {
    hold.snapshot(top);
    return;
  }
  await store.unpacker.unpack({
    view,
    hold,
    sourceOf: async (index) => {
      const layer = layers[index];
      if (layer === undefined) throw new RangeError(`no layer ${index}`);
      const handle = await store.content.open(layer.digest);
      await handle.close();
      return { kind: "file", path: store.content.pathOf(layer.digest) };
    },
    blobReady: async () => undefined,
    ...listener,
    signal,
  });
}
