/** The Layers port over image-service, with overlay mounts of our own for reading and writing trees. */
import { createHash, randomUUID } from "node:crypto";
import { hasKind, internal } from "@gantry/errors";
import type { MountKernel } from "@gantry/native";
import {
  chainIds,
  familiarName,
  type Platform,
  parseDigest,
  parseManifestOrIndex,
  parseReference,
  withDefaultTag,
} from "@gantry/oci";
import {
  ContentService,
  ImageService,
  type ResolveImageResponse,
  SnapshotService,
} from "@gantry/proto/image";
import type { Channel, ServiceClient } from "@gantry/rpc";
import type { ImageConfigDocument } from "../../domain/image-config.ts";
import type { ExportedLayer } from "../../ports/build.ts";
import type { BaseImage, Layers, ReadableTree, ResolveBase } from "../../ports/layers.ts";
import { cleanStubs } from "./clean-stubs.ts";
import { openTreeMounts, type TreeMounts } from "./tree-mounts.ts";

/** Bytes of one message of a blob. */
const chunkBytes = 256 * 1024;
/** A lease of a base image ends by itself when its build is gone. */
const baseLeaseMs = 24 * 3600 * 1000;

export interface ImageLayersOptions {
  readonly channel: Channel;
  readonly kernel: MountKernel;
  readonly runDir: string;
}

export function openImageLayers(options: ImageLayersOptions): Layers {
  const { channel, kernel, runDir } = options;
  const images = channel.client(ImageService);
  const snapshots = channel.client(SnapshotService);
  const content = channel.client(ContentService);
  const mounts = openTreeMounts(kernel, runDir);
  const clients = { images, snapshots, content };
  const reading = new SharedReads(clients, mounts);
  return {
    cleanUp: () => mounts.cleanUp(),
    resolve: (request) => resolveBase(clients, request),
    read: (layer, signal) => reading.open(layer, signal),
    async write(parent, signal) {
      const key = `build-tree-${randomUUID()}`;
      const request = { key, parentChainId: parent, leaseOwner: key };
      const { mount } = await snapshots.prepareSnapshot(request, { signal });
      if (mount === undefined) throw internal("image-service answered without a mount");
      let held = true;
      const release = async (): Promise<void> => {
        await content.releaseLease({ owner: key });
      };
      try {
        const mounted = await mounts.mount(mount);
        return {
          root: mounted.path,
          async commit(layerKey, leaseOwner) {
            await mounted[Symbol.asyncDispose]();
            const { sizeBytes } = await snapshots.commitSnapshot({ key, layerKey, leaseOwner });
            held = false;
            await release();
            return Number(sizeBytes);
          },
          async [Symbol.asyncDispose]() {
            await mounted[Symbol.asyncDispose]();
            if (held) await release();
          },
        };
      } catch (error) {
        await release();
        throw error;
      }
    },
    async commitSnapshot(key, mountPoints, layerKey, leaseOwner) {
      const { mount } = await snapshots.getMounts({ key });
      if (mount !== undefined) cleanStubs(mount, mountPoints);
      return Number((await snapshots.commitSnapshot({ key, layerKey, leaseOwner })).sizeBytes);
    },
    async pack(layerKey, parentChainId, leaseOwner, signal) {
      const packed = await snapshots.packSnapshot(
        { layerKey, parentChainId, leaseOwner },
        { signal },
      );
      return {
        chainId: packed.chainId,
        diffId: packed.diffId,
        mediaType: packed.layer?.mediaType ?? "",
        digest: packed.layer?.digest ?? "",
        sizeBytes: Number(packed.layer?.sizeBytes ?? 0n),
      };
    },
    async list() {
      const { snapshots: all } = await snapshots.listSnapshots({ layers: true });
      return new Map(
        all.map(({ key, parentChainId, sizeBytes }) => [
          key,
          { parent: parentChainId, sizeBytes: Number(sizeBytes) },
        ]),
      );
    },
    async lease(owner, { layers = [], blobs = [] }, ttlMs) {
      const resources = [
        ...layers.map((id) => ({ type: "snapshot", id })),
        ...blobs.map((id) => ({ type: "blob", id })),
      ];
      await content.acquireLease({ owner, resources, ttlMs: BigInt(ttlMs) });
    },
    async release(owner) {
      await content.releaseLease({ owner });
    },
    async leaseOwners(prefix) {
      const { leases } = await content.listLeases({});
      return leases.map(({ owner }) => owner).filter((owner) => owner.startsWith(prefix));
    },
    async writeBlob(bytes, leaseOwner) {
      const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
      try {
        await content.writeBlob(blobMessages(bytes, digest, leaseOwner));
      } catch (error) {
        if (!hasKind(error, "already_exists")) throw error;
        const resources = [{ type: "blob", id: digest }];
        await content.acquireLease({ owner: leaseOwner, resources, ttlMs: BigInt(baseLeaseMs) });
      }
      return { digest, sizeBytes: bytes.length };
    },
    async *readBlob(digest, signal) {
      for await (const { data } of content.readBlob({ digest }, { signal })) yield data;
    },
    async storeImage({ mediaType, digest, sizeBytes }, names) {
      const target = { mediaType, digest, sizeBytes: BigInt(sizeBytes) };
      await images.storeImage({ target, names: [...names] });
    },
  };
}

async function* blobMessages(bytes: Uint8Array, digest: string, leaseOwner: string) {
  const head = { ref: randomUUID(), digest, sizeBytes: BigInt(bytes.length), leaseOwner };
  yield { head };
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    yield { data: bytes.subarray(at, at + chunkBytes) };
  }
}

interface Clients {
  readonly images: ServiceClient<typeof ImageService>;
  readonly snapshots: ServiceClient<typeof SnapshotService>;
  readonly content: ServiceClient<typeof ContentService>;
}

/** One mount for all who read a layer at once. */
class SharedReads {
  readonly #clients: Clients;
  readonly #mounts: TreeMounts;
  readonly #open = new Map<string, { readers: number; tree: Promise<ReadableTree> }>();

  constructor(clients: Clients, mounts: TreeMounts) {
    this.#clients = clients;
    this.#mounts = mounts;
  }

  async open(layer: string, signal: AbortSignal): Promise<ReadableTree> {
    const known = this.#open.get(layer);
    const shared = known ?? { readers: 0, tree: this.#mount(layer) };
    this.#open.set(layer, shared);
    shared.readers += 1;
    const leave = async (): Promise<void> => {
      shared.readers -= 1;
      if (shared.readers > 0) return;
      if (this.#open.get(layer) === shared) this.#open.delete(layer);
      await (await shared.tree)[Symbol.asyncDispose]();
    };
    try {
      const { root } = await shared.tree;
      signal.throwIfAborted();
      return { root, [Symbol.asyncDispose]: leave };
    } catch (error) {
      await leave().catch(() => undefined);
      throw error;
    }
  }

  async #mount(layer: string): Promise<ReadableTree> {
    const { snapshots, content } = this.#clients;
    const key = `build-view-${randomUUID()}`;
    const { mount } = await snapshots.viewSnapshot({ key, chainId: layer, leaseOwner: key });
    if (mount === undefined) throw internal("image-service answered without a mount");
    const release = async (): Promise<void> => {
      await content.releaseLease({ owner: key });
    };
    try {
      const mounted = await this.#mounts.mount(mount);
      return {
        root: mounted.path,
        async [Symbol.asyncDispose]() {
          await mounted[Symbol.asyncDispose]();
          await release();
        },
      };
    } catch (error) {
      await release();
      throw error;
    }
  }
}

async function resolveBase(clients: Clients, request: ResolveBase): Promise<BaseImage> {
  const { reference, platform, signal, leaseOwner } = request;
  const resolve = () =>
    clients.images.resolveImage(
      { image: reference, leaseOwner, ...(platform && { platform: wirePlatform(platform) }) },
      { signal },
    );
  if (request.pull) await pull(clients, request);
  try {
    return await describe(clients, request, await resolve());
  } catch (error) {
    if (request.pull || !hasKind(error, "not_found")) throw error;
  }
  await pull(clients, request);
  return await describe(clients, request, await resolve());
}

function wirePlatform(platform: Platform) {
  const { os, architecture, variant = "", osVersion = "" } = platform;
  return { os, architecture, variant, osVersion };
}

async function pull(clients: Clients, request: ResolveBase): Promise<void> {
  const { platform, signal } = request;
  const reference = withDefaultTag(parseReference(request.reference));
  const credential = await request.credential(registryHost(reference.domain));
  const auth = credential && { ...credential, serverAddress: reference.domain };
  const stream = clients.images.pullImage(
    {
      reference: familiarName(reference),
      ...(platform && { platform: wirePlatform(platform) }),
      ...(auth && { auth }),
    },
    { signal },
  );
  for await (const { progress } of stream) {
    if (progress === undefined) continue;
    const { id, status, current, total, hasProgressDetail } = progress;
    const counts = { current: Number(current), total: Number(total) };
    request.onPull({ id, status, ...counts, hasDetail: hasProgressDetail });
  }
}

function registryHost(domain: string): string {
  return domain === "docker.io" ? "registry-1.docker.io" : domain;
}

async function describe(
  { content }: Clients,
  { reference, signal }: ResolveBase,
  { image, chainId }: ResolveImageResponse,
): Promise<BaseImage> {
  if (image === undefined) throw internal("image-service answered without an image");
  const document = JSON.parse(
    Buffer.from(image.configJson).toString("utf8"),
  ) as ImageConfigDocument;
  const diffIds = image.diffIds.map(parseDigest);
  const chunks: Uint8Array[] = [];
  const digest = image.manifest?.digest ?? "";
  for await (const { data } of content.readBlob({ digest }, { signal })) chunks.push(data);
  const manifest = parseManifestOrIndex(Buffer.concat(chunks), image.manifest?.mediaType ?? "");
  if (manifest.kind !== "manifest") throw internal(`${reference} has no manifest`);
  const layers = manifest.layers.map(
    (layer, index): ExportedLayer => ({
      mediaType: layer.mediaType,
      digest: layer.digest,
      sizeBytes: layer.size,
      diffId: diffIds[index] ?? "",
    }),
  );
  if ((chainIds(diffIds).at(-1) ?? "") !== chainId) throw internal(`${reference} has other layers`);
  const { os = "linux", architecture = "", variant = "" } = image.platform ?? {};
  return {
    id: image.id,
    reference: referenceName(reference),
    chainId,
    platform: { os, architecture, ...(variant !== "" && { variant }) },
    document: { ...document, config: document.config ?? {}, history: document.history ?? [] },
    layers,
  };
}

function referenceName(reference: string): string {
  try {
    return familiarName(withDefaultTag(parseReference(reference)));
  } catch (error) {
    // An ID or a prefix of one.
    if (!hasKind(error, "invalid_argument")) throw error;
    return reference;
  }
}
