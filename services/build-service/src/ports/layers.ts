/** Base images and layers, kept by image-service. */
import type { Platform } from "@gantry/oci";
import type { ImageConfigDocument } from "../domain/image-config.ts";
import type { ExportedLayer } from "./build.ts";
import type { Credential } from "./build-inputs.ts";

/** What a pull tells. */
export interface PullStep {
  readonly id: string;
  readonly status: string;
  readonly current: number;
  readonly total: number;
  /** A `progressDetail` belongs to it. */
  readonly hasDetail: boolean;
}

/** A base image, here and unpacked. */
export interface BaseImage {
  /** ID: digest of manifest or index. */
  readonly id: string;
  /** Familiar name with tag. */
  readonly reference: string;
  readonly chainId: string;
  readonly platform: Platform;
  readonly document: ImageConfigDocument;
  /** Lowest first. */
  readonly layers: readonly ExportedLayer[];
}

/** How to find a base image. */
export interface ResolveBase {
  readonly reference: string;
  /** Undefined: the host's. */
  readonly platform: Platform | undefined;
  /** Ask the registry even when it is here. */
  readonly pull: boolean;
  /** An image that is here and has no such platform is not looked for elsewhere. */
  readonly staysLocal: boolean;
  /** Lease that keeps it during the build. */
  readonly leaseOwner: string;
  readonly credential: (host: string) => Promise<Credential | undefined>;
  /** Called when a pull is needed, then with its progress. */
  readonly onPull: (step: PullStep) => void;
  readonly signal: AbortSignal;
}

/** What a cache's reference led to in a registry: in the content store, and no image. */
export interface PulledContent {
  /** Digest of what the reference names. */
  readonly target: string;
  /** Digest of the manifest that was chosen. */
  readonly manifest: string;
}

/** Layers of a manifest, unpacked. */
export interface UnpackedManifest {
  readonly document: ImageConfigDocument;
  /** Keys of the layers, the lowest first. */
  readonly chain: readonly string[];
  readonly layers: readonly ExportedLayer[];
}

/** A writable tree over a layer. */
export interface WritableTree extends AsyncDisposable {
  readonly root: string;
  /** Makes it a layer. Nothing may be written any more. @returns bytes on disk */
  commit(layerKey: string, leaseOwner: string): Promise<number>;
}

/** A tree to read. */
export interface ReadableTree extends AsyncDisposable {
  readonly root: string;
}

/** Packed layers of an image. */
export interface PackedLayer extends ExportedLayer {
  /** The layer's key from now on. */
  readonly chainId: string;
}

/** The image of a step. Its layers are here, kept by somebody. */
export interface StepImage {
  readonly manifest: Uint8Array;
  readonly config: Uint8Array;
  /** ID of the image below it, or empty. */
  readonly parent: string;
}

/** Images and layers. Everything may throw EngineError. */
export interface Layers {
  /** Unmounts what earlier processes of ours left. */
  cleanUp(): Promise<void>;
  resolve(request: ResolveBase): Promise<BaseImage>;
  /** An image that is here, unpacked, kept by a lease. Throws not_found. */
  find(reference: string, leaseOwner: string, signal: AbortSignal): Promise<BaseImage>;
  /** Brings content from a registry, kept by the request's lease. No image comes of it. */
  pull(
    request: Pick<ResolveBase, "reference" | "leaseOwner" | "credential" | "onPull" | "signal">,
  ): Promise<PulledContent>;
  /** Unpacks a manifest in the content store, kept by a lease. Throws not_found, invalid_argument. */
  unpack(manifest: string, leaseOwner: string, signal: AbortSignal): Promise<UnpackedManifest>;
  /** A tree over a layer (empty: over nothing), mounted; thrown away unless committed. */
  write(parent: string, signal: AbortSignal): Promise<WritableTree>;
  /** A layer's tree, mounted; the same one for all who read it at once. */
  read(layer: string, signal: AbortSignal): Promise<ReadableTree>;
  /**
   * Makes a layer of a container's snapshot. What its mount points left in it is taken away.
   * @param options.keep the container keeps its snapshot, and the layer is a copy
   * @returns bytes on disk
   */
  commitSnapshot(
    key: string,
    mountPoints: readonly string[],
    options: { readonly layerKey: string; readonly leaseOwner: string; readonly keep: boolean },
  ): Promise<number>;
  /**
   * Makes the blob of a layer. Throws not_found.
   * @param options.like digests of blobs that may have much in common with it
   */
  pack(
    layer: string,
    parentChainId: string,
    options: { readonly leaseOwner: string; readonly like: readonly string[] },
    signal: AbortSignal,
  ): Promise<PackedLayer>;
  /** Keys of all layers with what is below each, and their bytes on disk. */
  list(): Promise<ReadonlyMap<string, { readonly parent: string; readonly sizeBytes: number }>>;
  /** Protects layers and blobs. @param ttlMs 0 = until released */
  lease(
    owner: string,
    resources: { readonly layers?: readonly string[]; readonly blobs?: readonly string[] },
    ttlMs: number,
  ): Promise<void>;
  release(owner: string): Promise<void>;
  /** Owners of leases that begin with a prefix. */
  leaseOwners(prefix: string): Promise<string[]>;
  /** Writes small blobs, kept by a lease with others that are here. @param lease.ttlMs 0 = until released */
  writeBlobs(
    blobs: readonly Uint8Array[],
    lease: { readonly owner: string; readonly blobs: readonly string[]; readonly ttlMs: number },
  ): Promise<void>;
  /** Stores a blob that comes from elsewhere, kept by a lease. Throws invalid_argument for other content. */
  copyBlob(
    digest: string,
    bytes: AsyncIterable<Uint8Array>,
    leaseOwner: string,
    signal: AbortSignal,
  ): Promise<void>;
  /** Whether a blob is here; if so, a lease keeps it. */
  hasBlob(digest: string, leaseOwner: string): Promise<boolean>;
  readBlob(digest: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Has the event of a pruned cache written. */
  recordPrune(reclaimedBytes: number): Promise<void>;
  /** Records an image, and releases the lease that has kept its content. */
  storeImage(
    target: {
      readonly mediaType: string;
      readonly digest: string;
      readonly sizeBytes: number;
      readonly annotations: Readonly<Record<string, string>>;
    },
    names: readonly string[],
    leaseOwner: string,
  ): Promise<void>;
  /**
   * Records images of steps, as far as they are not here, parents first.
   * @param named ID of an image that gets names: one of these, or one that is here; empty: none
   */
  storeStepImages(
    images: readonly StepImage[],
    named: string,
    names: readonly string[],
  ): Promise<void>;
}
