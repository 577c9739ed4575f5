/** The Layers port over image-service, with overlay mounts of our own for reading and writing trees. */
import { randomUUID } from "node:crypto";
import { hasKind, internal } from "@gantry/errors";
import type { MountKernel } from "@gantry/native";
import { ContentService, ImageService, SnapshotService } from "@gantry/proto/image";
import type { Channel } from "@gantry/rpc";
import type { Layers, ReadableTree } from "../../ports/layers.ts";
import { findBase, pullContent, resolveBase, unpackContent } from "./base-images.ts";
import { blobStore } from "./blob-store.ts";
import { cleanStubs } from "./clean-stubs.ts";
import type { Clients } from "./clients.ts";
import { openTreeMounts, type TreeMounts } from "./tree-mounts.ts";

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
  const clients = { images, snapshots, content, manifests: new Map() };
  const letGo = leaseReleases(content);
  const reading = new SharedReads(clients, mounts, letGo);
  return {
    cleanUp: () => mounts.cleanUp(),
    resolve: (request) => resolveBase(clients, request),
    find: (reference, leaseOwner, signal) => findBase(clients, { reference, leaseOwner, signal }),
    pull: (request) => pullContent(clients, request),
    unpack: (manifest, leaseOwner, signal) => unpackContent(clients, manifest, leaseOwner, signal),
    ...blobStore(content),
    read: (layer, signal) => reading.open(layer, signal),
    async write(parent, signal) {
      const key = `build-tree-${randomUUID()}`;
      const request = { key, parentChainId: parent, leaseOwner: key };
      const { mount } = await snapshots.prepareSnapshot(request, { signal });
      if (mount === undefined) throw internal("image-service answered without a mount");
      let held = true;
      const release = (): Promise<void> => letGo(key);
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
    async commitSnapshot(key, mountPoints, options) {
      const { mount } = await snapshots.getMounts({ key });
      if (mount !== undefined) cleanStubs(mount, mountPoints);
      return Number((await snapshots.commitSnapshot({ key, ...options })).sizeBytes);
    },
    async pack(layerKey, parentChainId, { leaseOwner, like }, signal) {
      const packed = await snapshots.packSnapshot(
        { layerKey, parentChainId, leaseOwner, like: [...like] },
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
    release: letGo,
    async leaseOwners(prefix) {
      const { leases } = await content.listLeases({});
      return leases.map(({ owner }) => owner).filter((owner) => owner.startsWith(prefix));
    },
    async recordPrune(reclaimedBytes) {
      await images.recordBuilderPrune({ reclaimedBytes: BigInt(reclaimedBytes) });
    },
    async storeImage({ mediaType, digest, sizeBytes, annotations }, names, leaseOwner) {
      const target = { mediaType, digest, sizeBytes: BigInt(sizeBytes), annotations };
      await images.storeImage({ target, names: [...names], leaseOwner });
    },
    async storeStepImages(steps, named, names) {
      await images.storeStepImages({
        images: steps.map(({ manifest, config, parent }) => ({
          ...{ manifest, config, parentId: parent },
        })),
        ...{ namedId: named, names: [...names] },
      });
    },
  };
}

/** Lets go of a lease by its owner. */
type LetGo = (owner: string) => Promise<void>;

/** While image-service is away leases are owed: the next one that is let go takes them along. */
function leaseReleases(content: Clients["content"]): LetGo {
  const owed = new Set<string>();
  return async (owner) => {
    owed.add(owner);
    try {
      for (const each of owed) {
        await content.releaseLease({ owner: each });
        owed.delete(each);
      }
    } catch (error) {
      if (!hasKind(error, "unavailable")) throw error;
    }
  };
}

/** One mount for all who read a layer at once. */
class SharedReads {
  readonly #clients: Clients;
  readonly #mounts: TreeMounts;
  readonly #letGo: LetGo;
  readonly #open = new Map<string, { readers: number; tree: Promise<ReadableTree> }>();

  constructor(clients: Clients, mounts: TreeMounts, letGo: LetGo) {
    this.#clients = clients;
    this.#mounts = mounts;
    this.#letGo = letGo;
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
    const { snapshots } = this.#clients;
    const key = `build-view-${randomUUID()}`;
    const { mount } = await snapshots.viewSnapshot({ key, chainId: layer, leaseOwner: key });
    if (mount === undefined) throw internal("image-service answered without a mount");
    const release = (): Promise<void> => this.#letGo(key);
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
